//! Records as NDJSON at the end of a file, synced to disk before they are acknowledged.
//!
//! A crash can leave half a line; opening the file cuts it off, and its record comes again, for it was never acknowledged.

use crate::line::{Lines, Text};
use crate::pen::{Paper, Pen};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::failpoint::{self, Point};
use weir_api::{Block, BlockId, ConfigDef, Error, Key, KeyType, Settings, Sink};

pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("path", KeyType::String, "The file that records are appended to, one JSON object a line.").required()
    ],
    prefixes: &[],
};

/// Bytes read at a time while looking back for the last line feed.
const LOOK_BACK_BYTES: u64 = 64 << 10;

pub struct FileSink {
    pen: Pen,
    lines: Lines,
}

pub(crate) struct Sheet {
    file: File,
    path: PathBuf,
    /// bytes that are whole lines and synced
    len: u64,
}

// === impl FileSink ===

impl FileSink {
    pub fn open(settings: &Settings, key: Text, value: Text) -> Result<Self, Error> {
        let path = Path::new(settings.required(&KEYS, "path")?);
        let sheet = Sheet::open(path)?;
        Ok(FileSink { pen: Pen::start("file", sheet, true)?, lines: Lines { key, value } })
    }
}

impl Sink for FileSink {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        self.lines.deliver(&mut self.pen, block, from)
    }
    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.poll(wait, done)
    }
    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.flush(deadline, done)
    }
}

// === impl Sheet ===

impl Sheet {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e: io::Error| failure(path, "opened", &e);
        let new = !path.try_exists().map_err(failed)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            let message = format!("{} is not a regular file", path.display());
            return Err(Error::input("file.not-regular", message).help("use the stdout sink to write into a pipe"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another sink writes to {}", path.display());
                return Err(Error::environment("file.in-use", message).help("give every pipeline a file of its own"));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let len = whole_lines(&mut file).map_err(failed)?;
        file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len))).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if new {
            sync_folder(path).map_err(failed)?;
        }
        Ok(Sheet { file, path: path.to_owned(), len })
    }
}

impl Paper for Sheet {
    fn put(&mut self, lines: &[u8]) -> Result<(), Error> {
        failpoint::reach(Point::LinesBefore);
        let written = self.file.write_all(lines);
        failpoint::reach(Point::LinesAfter);
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                failpoint::reach(Point::LinesSynced);
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(e) => {
                // Best effort: what could not be written whole is not left half. Opening cuts it off anyway.
                let _ = self.file.set_len(self.len);
                Err(failure(&self.path, "written", &e))
            }
        }
    }
}

/// The length of the file up to and with its last line feed.
fn whole_lines(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(LOOK_BACK_BYTES);
        file.seek(SeekFrom::Start(from))?;
        chunk.clear();
        file.by_ref().take(end - from).read_to_end(&mut chunk)?;
        if let Some(at) = memchr::memrchr(b'\n', &chunk) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// A new name lasts only when its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

fn failure(path: &Path, what: &str, e: &io::Error) -> Error {
    let message = format!("{} cannot be {what}: {e}", path.display());
    match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::retry("file.disk-full", message).help("free space; the pipeline goes on by itself")
        }
        ErrorKind::NotFound => Error::environment("file.not-found", message).help("create the folder"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::environment("file.denied", message).help("give the process the right to write there")
        }
        ErrorKind::IsADirectory => Error::input("file.not-regular", message).help("name a file, not a folder"),
        _ => Error::retry("file.io", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use weir_api::Cure;

    #[test]
    fn the_last_whole_line_is_found() {
        let long = [b"a\n".to_vec(), vec![b'x'; 3 * LOOK_BACK_BYTES as usize]].concat();
        for (text, want) in [(&b""[..], 0), (b"half", 0), (b"one\n", 4), (b"one\ntw", 4), (b"\n", 1), (&long, 2)] {
            assert_eq!(whole_lines(&mut Cursor::new(text)).unwrap(), want);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_retried_and_says_so() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sheet = Sheet { file, path: "rows.ndjson".into(), len: 0 };
        let error = sheet.put(b"{}\n").unwrap_err();
        assert_eq!((error.code(), error.cure()), ("file.disk-full", Cure::Retry));
    }

    #[test]
    fn places_that_cannot_be_written_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &Path| {
            let settings = Settings::new([("path", path.to_str().unwrap())]);
            FileSink::open(&settings, Text::Json, Text::Json).err().unwrap().code()
        };
        assert_eq!(code(dir.path()), "file.not-regular");
        assert_eq!(code(&dir.path().join("no/such/rows")), "file.not-found");
        let _held = Sheet::open(&dir.path().join("rows")).unwrap();
        assert_eq!(code(&dir.path().join("rows")), "file.in-use");
        let none = FileSink::open(&Settings::default(), Text::Json, Text::Json).err().unwrap();
        assert_eq!(none.code(), "config.missing");
    }

    #[test]
    fn each_refusal_of_the_system_has_its_code() {
        for (kind, code, is_retriable) in [
            (ErrorKind::StorageFull, "file.disk-full", true),
            (ErrorKind::QuotaExceeded, "file.disk-full", true),
            (ErrorKind::NotFound, "file.not-found", false),
            (ErrorKind::PermissionDenied, "file.denied", false),
            (ErrorKind::ReadOnlyFilesystem, "file.denied", false),
            (ErrorKind::IsADirectory, "file.not-regular", false),
            (ErrorKind::Other, "file.io", true),
        ] {
            let error = failure(Path::new("out.ndjson"), "written", &kind.into());
            assert_eq!((error.code(), error.is_retriable()), (code, is_retriable), "{kind:?}");
            assert!(error.message().starts_with("out.ndjson cannot be written: "), "{error}");
        }
    }
}
