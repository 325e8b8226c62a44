//! `SO_RCVLOWAT`: how many bytes a socket must hold before a blocked reader is woken. No library in use here offers it.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Wakes readers of `socket` only when `bytes` are there (or its receive timeout has passed).
pub fn set(socket: BorrowedFd<'_>, bytes: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and the pointer and length name one living c_int.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast::<c_void>(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
