//! Compiled code on disk: one file for each (digest of the guest, engine and its settings).
//!
//! `unsafe`: loading compiled code runs it, so the file must be one that this program wrote. The folder is ours alone (owner and
//! permissions are looked at whenever it is opened), the file's name says which engine it is for, and its first 32 bytes are the
//! digest of the rest. A file that is not as it must be is compiled again.
#![allow(unsafe_code)]

use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasmtime::Engine;
use wasmtime::component::Component;
use weir_api::Error;

/// The folder, and what this engine's files are called.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: Arc<Path>,
    engine: String,
}

const DIGEST: usize = 32;
/// Files kept; the oldest go. Who builds a transform all day leaves one for each time it was swapped in.
const MOST_FILES: usize = 200;

// === impl Store ===

impl Store {
    pub fn open(dir: PathBuf, engine: &Engine) -> Result<Self, Error> {
        let fail = |why: String| {
            Error::environment("guest.cache", format!("the cache folder `{}` cannot be used: {why}", dir.display()))
                .help("name a folder of this user's own, with permissions 0700, or remove it: it will be made again")
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| fail(e.to_string()))?;
        let found = std::fs::symlink_metadata(&dir).map_err(|e| fail(e.to_string()))?;
        if !found.is_dir() {
            return Err(fail("it is not a folder".into()));
        }
        if found.mode() & 0o077 != 0 {
            return Err(fail(format!("others may use it (its permissions are {:04o})", found.mode() & 0o7777)));
        }
        let own = probe(&dir).map_err(|e| fail(e.to_string()))?;
        if own != found.uid() {
            return Err(fail("it belongs to somebody else".into()));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Store { dir: dir.into(), engine: format!("{:016x}", hasher.finish()) })
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine))
    }

    pub fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = std::fs::read(&path).ok()?;
        let component = bytes.split_at_checked(DIGEST).and_then(|(said, code)| {
            if Sha256::digest(code).as_slice() != said {
                return None;
            }
            // SAFETY: written by `put`, into a folder that nobody else may write to, and unchanged since; wasmtime itself
            // refuses code of another version or other settings.
            unsafe { Component::deserialize(engine, code) }.ok()
        });
        if component.is_none() {
            tracing::warn!(file = %path.display(), "compiled code in the cache is damaged: compiled again");
        }
        component
    }

    /// A cache that cannot be written to costs time, and nothing else.
    pub fn put(&self, digest: &str, component: &Component) {
        let written = component.serialize().map_err(|e| e.to_string()).and_then(|code| {
            let path = self.path(digest);
            let fresh = fresh(&self.dir);
            write(&fresh, &code).and_then(|_| std::fs::rename(&fresh, &path)).map_err(|e| {
                let _ = std::fs::remove_file(&fresh);
                e.to_string()
            })
        });
        if let Err(e) = written {
            tracing::warn!(folder = %self.dir.display(), "compiled code cannot be cached: {e}");
        }
        self.prune(MOST_FILES);
    }

    /// What cannot be removed stays, and costs room.
    fn prune(&self, most: usize) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let code = entries.flatten().filter(|e| e.path().extension().is_some_and(|e| e == "cwasm"));
        let mut all: Vec<_> = code.filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect();
        all.sort();
        all.iter().rev().skip(most).for_each(|(_, path)| drop(std::fs::remove_file(path)))
    }
}

/// Sha-256, in hexadecimal digits: what a module is known by.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A name that no other process or thread uses.
fn fresh(dir: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    dir.join(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Relaxed)))
}

fn create(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = create(path)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)
}

/// Whom files belong to that we make: ourselves.
fn probe(dir: &Path) -> std::io::Result<u32> {
    let path = fresh(dir);
    let owner = create(&path)?.metadata()?.uid();
    std::fs::remove_file(&path)?;
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_code_goes() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("own");
        let store = Store::open(dir.clone(), &Engine::default()).unwrap();
        let began = std::time::SystemTime::now();
        for n in 0..5u64 {
            let file = std::fs::File::create(dir.join(format!("{}.cwasm", 9 - n))).unwrap();
            file.set_modified(began + std::time::Duration::from_secs(n)).unwrap();
        }
        std::fs::write(dir.join("other"), "not ours").unwrap();
        store.prune(2);
        let mut left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["5.cwasm", "6.cwasm", "other"]);
    }
}
