//! When a file holds something else, and is not being written to any more.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a file is known by: replaced, grown or written to, and it is another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// also moves where a writer sets the time of modification back
    changed: (i64, i64),
}

/// What was seen of one file.
#[derive(Default, Debug)]
pub struct Watch {
    /// what was read last
    read: Option<Identity>,
    /// what it was at the last look
    seen: Option<Identity>,
}

// === impl Watch ===

impl Watch {
    /// What is read of the file, if it is another than the one read last and it was the same at two looks: a file that is being
    /// written is another at each. None where there is no file: who replaces one may take it away first.
    pub fn look<T>(&mut self, file: &Path, read: impl FnOnce() -> T) -> Option<T> {
        let now = identity(file);
        let before = std::mem::replace(&mut self.seen, now);
        if now.is_none() || now == self.read || now != before {
            return None;
        }
        let bytes = read();
        // written to meanwhile: at the next look it is another
        if identity(file) != now {
            return None;
        }
        self.read = now;
        Some(bytes)
    }

    /// What was read last is read again.
    pub fn forget(&mut self) {
        self.read = None
    }
}

fn identity(file: &Path) -> Option<Identity> {
    // through links: a folder that is exchanged as a whole is a link to another
    let found = std::fs::metadata(file).ok().filter(Metadata::is_file)?;
    Some(Identity {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let mut watch = Watch::default();
        let mut look = || watch.look(&file, || std::fs::read_to_string(&file).unwrap());
        assert_eq!(look(), None, "nothing is there");
        std::fs::write(&file, "one").unwrap();
        assert_eq!((look(), look()), (None, Some("one".into())));
        assert_eq!(look(), None, "it was read");
        // half of it, and a writer that goes on
        let mut writer = std::fs::File::create(&file).unwrap();
        writer.write_all(b"tw").unwrap();
        assert_eq!(look(), None);
        writer.write_all(b"o").unwrap();
        assert_eq!((look(), look()), (None, Some("two".into())));
        // taken away, and another in its place
        std::fs::remove_file(&file).unwrap();
        assert_eq!((look(), look()), (None, None));
        std::fs::write(folder.path().join("new"), "six").unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        assert_eq!((look(), look()), (None, Some("six".into())));
        watch.forget();
        assert_eq!(watch.look(&file, || 6), Some(6));
    }

    #[test]
    fn a_link_to_another_folder_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join("a.wasm"), name).unwrap();
        }
        let link = |to: &str| {
            std::os::unix::fs::symlink(path(to), path("fresh")).unwrap();
            std::fs::rename(path("fresh"), path("data")).unwrap();
        };
        let (mut watch, file) = (Watch::default(), path("data/a.wasm"));
        let mut look = || watch.look(&file, || std::fs::read_to_string(&file).unwrap());
        link("one");
        assert_eq!((look(), look()), (None, Some("one".into())));
        link("two");
        assert_eq!((look(), look()), (None, Some("two".into())));
    }
}
