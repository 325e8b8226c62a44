//! The blocking byte stream below the protocol: TCP or a unix socket, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use crate::options::ConnectOptions;
use crate::tls::Session;
use crate::watermark;

/// What one read asks the kernel for, in bytes, at least.
pub const READ_SIZE: usize = 256 * 1024;

/// A peer that does not take a write for so long is dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A silent peer is asked after so long, then every `KEEPALIVE_INTERVAL`, and given up after `KEEPALIVE_COUNT` of them.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;

pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Stream {
    socket: Socket,
    tls: Option<Box<Session>>,
    /// bytes, as last set
    watermark: i32,
    /// as last set
    timeout: Option<Duration>,
}

// === impl Socket ===

impl Socket {
    /// Tries every address of the host in turn.
    pub fn connect(options: &ConnectOptions) -> io::Result<Socket> {
        let socket = if options.is_unix() {
            Socket::Unix(UnixStream::connect(options.address())?)
        } else {
            Socket::Tcp(connect_tcp(options)?)
        };
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(SEND_TIMEOUT))?;
        Ok(socket)
    }

    /// One read, appended to `into`. `None`: nothing came in the receive timeout; `Some(0)`: the peer closed.
    pub fn read_into(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if into.capacity() - into.len() < READ_SIZE {
            into.reserve(READ_SIZE);
        }
        loop {
            match rustix::io::read(self, rustix::buffer::spare_capacity(into)) {
                Ok(n) => return Ok(Some(n)),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(s) => s.as_fd(),
            Socket::Unix(s) => s.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(buf),
            Socket::Unix(s) => s.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write(buf),
            Socket::Unix(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect_tcp(options: &ConnectOptions) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (options.host.as_str(), options.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, options.connect_timeout) {
            Ok(stream) => {
                tune(&stream, options.tcp_keepalive)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn tune(stream: &TcpStream, keepalive: bool) -> io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    if keepalive {
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    }
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, SEND_TIMEOUT.as_millis() as u32)?;
    Ok(())
}

// === impl Stream ===

impl Stream {
    pub fn plain(socket: Socket) -> Stream {
        Stream { socket, tls: None, watermark: 1, timeout: None }
    }

    /// Puts TLS above the socket: the handshake is done when this returns.
    pub fn secure(&mut self, mut session: Session) -> Result<(), weir_api::Error> {
        session.handshake(&mut self.socket)?;
        self.tls = Some(Box::new(session));
        Ok(())
    }

    pub fn tls(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// One byte, before anything else was read: the answer to the request for TLS.
    pub fn read_byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.socket.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    /// Appends what one read gives. `None`: nothing came in the receive timeout; `Some(0)`: the peer closed.
    pub fn read_into(&mut self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => self.socket.read_into(into),
            Some(session) => session.read_into(&mut self.socket, into),
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(session) => session.write_all(&mut self.socket, bytes),
        }
    }

    /// How long a read may block; `None` for ever.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.timeout != timeout {
            sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, timeout)?;
            self.timeout = timeout;
        }
        Ok(())
    }

    /// Sets `SO_RCVLOWAT` if it is not at `bytes` yet.
    pub fn set_watermark(&mut self, bytes: i32) -> io::Result<()> {
        if self.watermark != bytes {
            watermark::set(self.socket.as_fd(), bytes)?;
            self.watermark = bytes;
        }
        Ok(())
    }

    pub fn watermark(&self) -> i32 {
        self.watermark
    }

    /// Whether something can be read before `wait` has passed. Wants a watermark of 1.
    pub fn wait_readable(&self, wait: Duration) -> io::Result<bool> {
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            // A signal: the caller asks again.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The system's words without its capitals and numbers where there are better ones.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".into(),
        io::ErrorKind::UnexpectedEof => "the server closed it".into(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".into(),
        _ => error.to_string(),
    }
}
