//! The store of a single process: `weir.redb` in the data directory, one file for all its pipelines.
//!
//! redb writes copy-on-write pages with checksums and syncs before a commit returns, so a kill at any instruction leaves the last
//! commit. A failed write spoils the handle, not the file: the next call opens the file again.

use crate::{Change, Json, Offset, Store, Stored, spelling};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use weir_api::Error;
use weir_api::failpoint::{self, Point};

/// Version of what is written into the file; a newer one is refused.
pub const FORMAT: u64 = 1;
pub const FILE: &str = "weir.redb";
/// Says which process holds the store; only a help for error texts, the lock is on [`FILE`].
const HOLDER: &str = "weir.pid";

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// (pipeline, partition with sorted members) → (partition, offset), as JSON
const OFFSETS: TableDefinition<'static, (&str, &str), (&str, &str)> = TableDefinition::new("offsets");
/// (pipeline, name) → bytes
const VALUES: TableDefinition<'static, (&str, &str), &[u8]> = TableDefinition::new("values");

/// Clones share the file.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

struct Inner {
    open: Opener,
    /// None: the last operation failed and the file must be opened again
    database: Mutex<Option<Database>>,
    /// for messages
    path: PathBuf,
    holder: Option<PathBuf>,
}

// === impl Embedded ===

impl Embedded {
    /// Opens the store of a data directory, and makes both when they are not there.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = data_dir.as_ref();
        let path = dir.join(FILE);
        fs::create_dir_all(dir).map_err(|e| io_failure(dir, &e))?;
        let at = path.clone();
        let mut inner = Inner {
            open: Box::new(move || Database::create(&at)),
            database: Mutex::new(None),
            path,
            holder: Some(dir.join(HOLDER)),
        };
        inner.start().inspect_err(|_| inner.holder = None)?;
        if let Some(holder) = &inner.holder {
            fs::write(holder, std::process::id().to_string()).map_err(|e| io_failure(dir, &e))?;
        }
        Ok(Embedded(Arc::new(inner)))
    }
}

impl Store for Embedded {
    fn load(&self, pipeline: &str) -> Result<Option<Stored>, Error> {
        let stored = self.0.with(|db| read(db, pipeline))?;
        let mut all = Stored { offsets: Vec::with_capacity(stored.0.len()), values: stored.1.into_iter().collect() };
        for (partition, offset) in stored.0 {
            let (Some(partition), Some(offset)) = (object(&partition), object(&offset)) else {
                return Err(self.0.corrupted("an offset is no JSON object"));
            };
            all.offsets.push(Offset { partition, offset });
        }
        Ok(Some(all).filter(|s| !s.offsets.is_empty() || !s.values.is_empty()))
    }
    fn save(&mut self, pipeline: &str, change: Change<'_>) -> Result<(), Error> {
        self.0.with(|db| write(db, pipeline, &change))
    }
    fn reset(&mut self, pipeline: &str) -> Result<bool, Error> {
        self.0.with(|db| {
            let transaction = db.begin_write()?;
            let mut any = false;
            {
                let mut offsets = transaction.open_table(OFFSETS)?;
                let mut values = transaction.open_table(VALUES)?;
                offsets.retain_in((pipeline, "").., |(p, _), _| {
                    any |= p == pipeline;
                    p != pipeline
                })?;
                values.retain_in((pipeline, "").., |(p, _), _| {
                    any |= p == pipeline;
                    p != pipeline
                })?;
            }
            transaction.commit()?;
            Ok(any)
        })
    }
    fn list(&self) -> Result<Vec<String>, Error> {
        self.0.with(|db| {
            let transaction = db.begin_read()?;
            let mut names = BTreeSet::new();
            for entry in transaction.open_table(OFFSETS)?.iter()? {
                names.insert(entry?.0.value().0.to_owned());
            }
            for entry in transaction.open_table(VALUES)?.iter()? {
                names.insert(entry?.0.value().0.to_owned());
            }
            Ok(names.into_iter().collect())
        })
    }
}

// === impl Inner ===

impl Inner {
    /// The first opening also looks at every page's checksum: a spoilt file is found now, not in the middle of a run.
    fn start(&self) -> Result<(), Error> {
        let mut database = self.guard(|| {
            self.connect().and_then(|mut db| {
                db.check_integrity().map_err(|e| self.failure(e.into()))?;
                Ok(db)
            })
        })?;
        self.guard(|| self.check_format(&mut database))?;
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(())
    }

    fn connect(&self) -> Result<Database, Error> {
        (self.open)().map_err(|e| self.failure(e.into()))
    }

    fn check_format(&self, database: &mut Database) -> Result<(), Error> {
        let found = prepare(database).map_err(|e| self.failure(e))?;
        if found <= FORMAT {
            return Ok(());
        }
        let message = format!("{} has format {found}, and this version reads up to {FORMAT}", self.path.display());
        Err(Error::input("store.newer-version", message)
            .help("use the newer weir that wrote it, or another --data-dir"))
    }

    /// Runs one operation; any failure closes the file, and the next operation opens it again.
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, Error> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match held.take() {
            Some(database) => database,
            None => self.guard(|| self.connect())?,
        };
        let result = self.guard(|| work(&database).map_err(|e| self.failure(e)))?;
        *held = Some(database);
        Ok(result)
    }

    /// redb asserts some of what a file must hold; bytes of a spoilt file must not end the process.
    fn guard<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(self.corrupted("its pages contradict each other")))
    }

    fn corrupted(&self, why: &str) -> Error {
        let message = format!("{} is damaged: {why}", self.path.display());
        Error::environment("store.corrupted", message)
            .help("restore it from a backup, or move it away: the pipelines then start anew")
    }

    fn failure(&self, error: redb::Error) -> Error {
        let path = self.path.display();
        match error {
            redb::Error::DatabaseAlreadyOpen => {
                let holder = self.holder.as_ref().and_then(|h| fs::read_to_string(h).ok());
                let holder = holder.and_then(|h| h.trim().parse::<u32>().ok());
                let who = holder.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                Error::environment("store.in-use", format!("{path} is in use by {who}"))
                    .help("end it, or give this one its own --data-dir")
            }
            redb::Error::UpgradeRequired(version) => {
                Error::input("store.old-file", format!("{path} is written in file format {version}, which is too old"))
                    .help("move it away: the pipelines then start anew")
            }
            redb::Error::Io(e) => io_failure(&self.path, &e),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::TransactionPoisoned => {
                Error::retry("store.io", format!("{path} has to be opened again after a failed write"))
            }
            other => self.corrupted(&other.to_string()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            // Only a help for messages: nothing depends on its going.
            let _ = fs::remove_file(holder);
        }
    }
}

/// Makes the tables of a new file, and says which format the file has.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    {
        let transaction = database.begin_read()?;
        let found = match transaction.open_table(META) {
            Ok(meta) => meta.get("format")?.map(|v| v.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(e) => return Err(e.into()),
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(OFFSETS)?;
    transaction.open_table(VALUES)?;
    transaction.commit()?;
    Ok(FORMAT)
}

type Raw = (Vec<(String, String)>, Vec<(String, Vec<u8>)>);

fn read(database: &Database, pipeline: &str) -> Result<Raw, redb::Error> {
    let transaction = database.begin_read()?;
    let (mut offsets, mut values) = (vec![], vec![]);
    for entry in transaction.open_table(OFFSETS)?.range((pipeline, "")..)? {
        let (key, value) = entry?;
        if key.value().0 != pipeline {
            break;
        }
        let (partition, offset) = value.value();
        offsets.push((partition.to_owned(), offset.to_owned()));
    }
    for entry in transaction.open_table(VALUES)?.range((pipeline, "")..)? {
        let (key, value) = entry?;
        let (of, name) = key.value();
        if of != pipeline {
            break;
        }
        values.push((name.to_owned(), value.value().to_vec()));
    }
    Ok((offsets, values))
}

fn write(database: &Database, pipeline: &str, change: &Change<'_>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut offsets = transaction.open_table(OFFSETS)?;
        for (partition, offset) in change.offsets {
            let key = spelling(partition);
            match offset {
                Some(offset) => {
                    let (partition, offset) = (text(partition), text(offset));
                    offsets.insert((pipeline, &*key), (&*partition, &*offset))?;
                }
                None => {
                    offsets.remove((pipeline, &*key))?;
                }
            }
        }
        let mut values = transaction.open_table(VALUES)?;
        for (name, value) in change.values {
            match value {
                Some(value) => values.insert((pipeline, *name), *value)?,
                None => values.remove((pipeline, *name))?,
            };
        }
    }
    failpoint::reach(Point::StoreCommitBefore);
    transaction.commit()?;
    failpoint::reach(Point::StoreCommitAfter);
    Ok(())
}

fn text(map: &Json) -> String {
    serde_json::to_string(map).unwrap_or_default()
}

fn object(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

fn io_failure(path: &Path, e: &std::io::Error) -> Error {
    let message = format!("{} cannot be used: {e}", path.display());
    match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::retry("store.disk-full", message).help("free space; the pipeline goes on by itself")
        }
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            Error::environment("store.corrupted", format!("{} is damaged: {e}", path.display()))
                .help("restore it from a backup, or move it away: the pipelines then start anew")
        }
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => Error::environment("store.denied", message)
            .help("name a folder that this process may write with --data-dir"),
        _ => Error::retry("store.io", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Builder, StorageBackend};
    use serde_json::json;
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn map(value: serde_json::Value) -> Json {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Embedded::open(dir.path()).unwrap());
        let database = Database::create(dir.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = Embedded::open(dir.path()).err().unwrap();
        assert_eq!(error.code(), "store.newer-version");
        assert!(error.message().contains("format 2"), "{error}");
    }

    /// A disk of so many bytes.
    #[derive(Clone, Debug)]
    struct Disk(Arc<(Mutex<Vec<u8>>, AtomicU64)>);

    impl Disk {
        fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
            self.0.0.lock().unwrap()
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes().len() as u64)
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let at = offset as usize;
            let len = out.len();
            out.copy_from_slice(self.bytes().get(at..at + len).ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            if len > self.0.1.load(Ordering::SeqCst) {
                return Err(ErrorKind::StorageFull.into());
            }
            self.bytes().resize(len as usize, 0);
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.bytes()[offset as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_said_and_the_store_goes_on_when_there_is_room() {
        let disk = Disk(Arc::new((Mutex::default(), AtomicU64::new(8 << 20))));
        let on = disk.clone();
        let inner = Inner {
            open: Box::new(move || Builder::new().create_with_backend(on.clone())),
            database: Mutex::new(None),
            path: "weir.redb".into(),
            holder: None,
        };
        inner.start().unwrap();
        let mut store = Embedded(Arc::new(inner));
        disk.0.1.store(disk.len().unwrap(), Ordering::SeqCst);
        let big = vec![7; 1 << 20];
        let (partition, mut n) = (map(json!({"server": "shop"})), 0);
        let error = loop {
            let offset = map(json!({ "lsn": n }));
            let name = format!("part {n}");
            let change = Change { offsets: &[(&partition, Some(&offset))], values: &[(&name, Some(&big))] };
            match store.save("orders", change) {
                Ok(()) => n += 1,
                Err(e) => break e,
            }
            assert!(n < 64, "the disk never fills");
        };
        assert_eq!((error.code(), error.is_retriable()), ("store.disk-full", true));
        let stored = store.load("orders").unwrap();
        let lsn = stored.and_then(|s| s.offset(&partition).and_then(|o| o["lsn"].as_i64()));
        assert_eq!(lsn, Some(n - 1).filter(|n| *n >= 0));
        disk.0.1.store(64 << 20, Ordering::SeqCst);
        let offset = map(json!({ "lsn": 99 }));
        store.save("orders", Change { offsets: &[(&partition, Some(&offset))], values: &[("x", Some(&big))] }).unwrap();
        assert_eq!(store.load("orders").unwrap().unwrap().offset(&partition).unwrap()["lsn"], 99);
    }

    #[test]
    fn each_refusal_has_its_code() {
        let inner = Inner {
            open: Box::new(|| Builder::new().create_with_backend(redb::backends::InMemoryBackend::new())),
            database: Mutex::new(None),
            path: "weir.redb".into(),
            holder: None,
        };
        for (error, code, is_retriable) in [
            (redb::Error::UpgradeRequired(1), "store.old-file", false),
            (redb::Error::PreviousIo, "store.io", true),
            (redb::Error::Io(ErrorKind::Other.into()), "store.io", true),
            (redb::Error::Io(ErrorKind::StorageFull.into()), "store.disk-full", true),
            (redb::Error::Io(ErrorKind::PermissionDenied.into()), "store.denied", false),
            (redb::Error::Io(ErrorKind::UnexpectedEof.into()), "store.corrupted", false),
            (redb::Error::DatabaseAlreadyOpen, "store.in-use", false),
            (redb::Error::Corrupted("a page".into()), "store.corrupted", false),
        ] {
            let error = inner.failure(error);
            assert_eq!((error.code(), error.is_retriable()), (code, is_retriable), "{error}");
            assert!(error.message().contains("weir.redb"), "{error}");
        }
    }
}
