//! A transaction's file: blocks of frames, each behind its length and checksum. What it holds the server has too, so nothing is
//! synced, and a file that outlives its process is of no use: it is removed at the next start.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use weir_api::Error;
use weir_api::failpoint::{self, Point};

/// A file that cannot be written or read: the stream goes on without one.
pub const FAILED: &str = "postgres.spill";
/// A file that holds something else than was written.
pub const CORRUPT: &str = "postgres.spill-corrupt";

const EXTENSION: &str = ".spill";
/// length and checksum
const HEADER: usize = 8;

/// Removed when it is dropped.
#[derive(Debug)]
pub struct Spill {
    file: File,
    path: PathBuf,
    /// blocks that were written, and of these those that were read again
    written: u64,
    read: u64,
}

/// Where files of one slot's transactions lie.
#[derive(Clone, Debug)]
pub struct Place {
    pub directory: PathBuf,
    pub slot: String,
}

// === impl Place ===

impl Place {
    pub fn path(&self, transaction: u32) -> PathBuf {
        self.directory.join(format!("{}-{transaction}{EXTENSION}", self.slot))
    }

    /// Removes what a process that was killed has left.
    pub fn clear(&self) -> Result<(), Error> {
        let failed = |e: io::Error| failed("cleared", &self.directory, &e);
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let ours =
                name.to_str().and_then(|n| n.strip_prefix(&self.slot)?.strip_prefix('-')?.strip_suffix(EXTENSION));
            if ours.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

// === impl Spill ===

impl Spill {
    pub fn create(path: PathBuf) -> Result<Spill, Error> {
        let made = path.parent().map_or(Ok(()), |p| DirBuilder::new().recursive(true).mode(0o700).create(p));
        // rows lie in it: nobody else reads them
        let open = || File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
        match made.and_then(|()| open()) {
            Ok(file) => {
                failpoint::reach(Point::SpillMade);
                Ok(Spill { file, path, written: 0, read: 0 })
            }
            Err(e) => Err(failed("made", &path, &e)),
        }
    }

    pub fn append(&mut self, block: &[u8]) -> Result<(), Error> {
        let mut header = [0; HEADER];
        let (length, sum) = header.split_at_mut(4);
        // a block is some frames, and no frame has 2 GiB
        length.copy_from_slice(&u32::try_from(block.len()).unwrap_or(u32::MAX).to_be_bytes());
        sum.copy_from_slice(&crc32fast::hash(block).to_be_bytes());
        let result = self.file.write_all(&header).and_then(|()| self.file.write_all(block));
        result.map_err(|e| failed("written", &self.path, &e))?;
        self.written += 1;
        failpoint::reach(Point::SpillWritten);
        Ok(())
    }

    /// Appends the next block to `into`; false: there is none. Nothing is written any more once reading has begun.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<bool, Error> {
        if self.read == self.written {
            return Ok(false);
        }
        let path = &self.path;
        let broken = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt(path),
            _ => failed("read", path, &e),
        };
        if self.read == 0 {
            self.file.seek(SeekFrom::Start(0)).map_err(broken)?;
        }
        let mut header = [0; HEADER];
        self.file.read_exact(&mut header).map_err(broken)?;
        let [a, b, c, d, sum @ ..] = header;
        let (length, from) = (u32::from_be_bytes([a, b, c, d]), into.len());
        // grows by what is there, and not by what a broken length says
        (&self.file).take(length.into()).read_to_end(into).map_err(broken)?;
        let block = into.get(from..).unwrap_or_default();
        if block.len() != length as usize || crc32fast::hash(block) != u32::from_be_bytes(sum) {
            into.truncate(from);
            return Err(corrupt(path));
        }
        self.read += 1;
        failpoint::reach(Point::SpillRead);
        Ok(true)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // what stays is removed at the next start
        let _ = std::fs::remove_file(&self.path);
        failpoint::reach(Point::SpillRemoved);
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("the spill file `{}` cannot be {what}: {error}", path.display());
    Error::retry(FAILED, message).help("make room in the data directory, or set `stream.spill.directory`")
}

fn corrupt(path: &Path) -> Error {
    let message = format!("the spill file `{}` is not what was written", path.display());
    Error::retry(CORRUPT, message)
        .help("nothing is lost: the server sends the transaction again; look after the disk if it comes again")
}

/// Frames that were whole when they were held, and are not any more.
pub fn torn() -> Error {
    Error::retry(CORRUPT, "a held transaction is not what the server sent")
        .help("nothing is lost: the server sends the transaction again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: &Path) -> Place {
        Place { directory: directory.join("spill"), slot: "s".into() }
    }

    #[test]
    fn blocks_come_back_in_their_order_and_the_file_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = place(directory.path()).path(7);
        let mut spill = Spill::create(path.clone()).unwrap();
        for block in [&b"one"[..], b"", b"three"] {
            spill.append(block).unwrap();
        }
        let mut all = b"before ".to_vec();
        while spill.next(&mut all).unwrap() {}
        assert_eq!(all, b"before onethree");
        drop(spill);
        assert!(!path.exists());
    }

    #[test]
    fn no_changed_byte_is_taken_for_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = place(directory.path()).path(7);
        for at in 0..HEADER + 5 {
            let mut spill = Spill::create(path.clone()).unwrap();
            spill.append(b"frame").unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let error = spill.next(&mut vec![]).unwrap_err();
            assert_eq!((error.code(), error.is_retriable()), (CORRUPT, true), "byte {at}");
        }
        let mut spill = Spill::create(path.clone()).unwrap();
        spill.append(b"frame").unwrap();
        std::fs::write(&path, b"").unwrap();
        assert_eq!(spill.next(&mut vec![]).unwrap_err().code(), CORRUPT);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s-7.spill");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut spill = Spill::create(path).unwrap();
        assert_eq!(spill.append(b"frame").unwrap_err().code(), "postgres.spill");
    }

    #[test]
    fn leftovers_go_and_other_files_stay() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path());
        place.clear().unwrap();
        std::fs::create_dir(&place.directory).unwrap();
        for name in ["s-7.spill", "s-8.spill", "s2-7.spill", "s-x.spill", "s-7"] {
            std::fs::write(place.directory.join(name), "x").unwrap();
        }
        place.clear().unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&place.directory)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["s-7", "s-x.spill", "s2-7.spill"]);
    }
}
