//! Which letters were sent again: a file beside the offsets, a line for each, synced before the next ones are sent.
//!
//! It is a file of its own so that letters can be sent again while the pipeline runs and holds the store.

use super::letter::Letter;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use weir_api::Error;

/// Letters of one pipeline that were sent again.
pub struct Replayed {
    path: PathBuf,
    /// (partition, offset) → digest
    known: HashMap<(i32, i64), u64>,
}

// === impl Replayed ===

impl Replayed {
    pub fn load(data_dir: &Path, pipeline: &str) -> Result<Self, Error> {
        let path = data_dir.join("dead-letters").join(format!("{}.replayed", file_name(pipeline)));
        let mut text = String::new();
        match File::open(&path).and_then(|mut f| f.read_to_string(&mut text)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failure(&path, "read", &e)),
            _ => {}
        }
        // a line that a crash cut off says nothing
        let whole = text.split_inclusive('\n').filter_map(|l| l.strip_suffix('\n'));
        Ok(Replayed { known: whole.filter_map(mark).collect(), path })
    }

    pub fn has(&self, letter: &Letter) -> bool {
        self.known.get(&(letter.partition, letter.offset)) == Some(&letter.digest)
    }

    /// The file, for adding to it; nobody else may meanwhile, for both would send the same letters.
    pub fn open(&self) -> Result<Marks, Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| failure(folder, "made", &e))?;
        let open = OpenOptions::new().read(true).append(true).create(true).open(&self.path);
        let mut file = open.map_err(|e| failure(&self.path, "opened", &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "the dead letters of this pipeline are being sent again by another process";
                return Err(Error::environment("dlq.in-use", message).help("wait for it to end"));
            }
            Err(TryLockError::Error(e)) => return Err(failure(&self.path, "locked", &e)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|e| failure(&self.path, "read", &e))?;
        // what a crash cut off ends here, so that the next line is whole
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(|e| failure(&self.path, "written", &e))?;
        }
        Ok(Marks { file, path: self.path.clone() })
    }
}

/// The open file.
pub struct Marks {
    file: File,
    path: PathBuf,
}

// === impl Marks ===

impl Marks {
    /// Durable when it returns.
    pub fn add(&mut self, letters: &[Letter]) -> Result<(), Error> {
        let lines: String =
            letters.iter().map(|l| format!("{} {} {:016x}\n", l.partition, l.offset, l.digest)).collect();
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| failure(&self.path, "written", &e))
    }
}

fn mark(line: &str) -> Option<((i32, i64), u64)> {
    let mut parts = line.split(' ');
    let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let digest = parts.next().filter(|d| d.len() == 16)?;
    Some((place, u64::from_str_radix(digest, 16).ok()?))
}

/// A pipeline's name as a file's: what is not plain is written as its bytes.
fn file_name(pipeline: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    pipeline.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn failure(path: &Path, what: &str, e: &std::io::Error) -> Error {
    Error::environment("dlq.marks", format!("`{}` cannot be {what}: {e}", path.display()))
        .help("letters that were sent again are noted there: give the process the right to write it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_again_is_known_after_a_crash_too() {
        let dir = tempfile::tempdir().unwrap();
        let letter = |offset| Letter { offset, digest: 7 + offset as u64, ..Letter::default() };
        let load = || Replayed::load(dir.path(), "a/b").unwrap();
        let (one, two) = (letter(1), letter(2));
        load().open().unwrap().add(std::slice::from_ref(&one)).unwrap();
        // half a line, as a crash leaves it
        OpenOptions::new().append(true).open(&load().path).unwrap().write_all(b"0 2 00").unwrap();
        assert!(load().has(&one) && !load().has(&two));
        load().open().unwrap().add(std::slice::from_ref(&two)).unwrap();
        assert!(load().has(&one) && load().has(&two));
        assert!(!load().has(&Letter { digest: 1, ..letter(1) }), "another letter in the same place");
        let held = load().open().unwrap();
        assert_eq!(load().open().err().map(|e| e.code()), Some("dlq.in-use"));
        drop(held);
    }
}
