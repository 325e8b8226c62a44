//! What both stores promise, and what only the embedded one does: it survives being killed, damage and a second process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use weir_store::{Change, Embedded, Json, Memory, Store, embedded};

const CHILD: &str = "WEIR_STORE_TEST_CHILD";

fn map(value: serde_json::Value) -> Json {
    value.as_object().unwrap().clone()
}

fn conforms(mut store: impl Store + Clone) {
    let (one, two) = (map(json!({"server": "a", "db": {"y": 1, "x": 2}})), map(json!({"server": "b"})));
    let (lsn, next) = (map(json!({"lsn": 24023128, "snapshot": true})), map(json!({"z": null, "a": u64::MAX})));
    assert_eq!(store.load("p").unwrap(), None);
    assert!(store.list().unwrap().is_empty());
    assert!(!store.reset("p").unwrap());

    store
        .save("p", Change { offsets: &[(&one, Some(&lsn)), (&two, Some(&lsn))], values: &[("v", Some(b"\0\xff"))] })
        .unwrap();
    store.save("p2", Change { offsets: &[(&one, Some(&next))], values: &[] }).unwrap();
    store.save("", Change { values: &[("only", Some(b""))], ..Change::default() }).unwrap();
    let p = store.load("p").unwrap().unwrap();
    assert_eq!((p.offsets.len(), p.offset(&one), p.offset(&two)), (2, Some(&lsn), Some(&lsn)));
    assert_eq!(p.values["v"], b"\0\xff");
    assert_eq!(p.show()["offsets"][1]["partition"], json!({"server": "b"}));
    assert_eq!(store.list().unwrap(), ["", "p", "p2"]);

    // The same partition, its members in another order; members of offsets keep theirs.
    let spelt = map(json!({"db": {"x": 2, "y": 1}, "server": "a"}));
    store
        .save(
            "p",
            Change { offsets: &[(&spelt, Some(&next)), (&two, None)], values: &[("v", None), ("w", Some(b"1"))] },
        )
        .unwrap();
    let p = store.clone().load("p").unwrap().unwrap();
    assert_eq!((p.offsets.len(), p.offset(&one), p.offset(&two)), (1, Some(&next), None));
    assert_eq!(p.offsets[0].offset.keys().collect::<Vec<_>>(), ["z", "a"]);
    assert_eq!(p.values.keys().collect::<Vec<_>>(), ["w"]);

    assert!(store.reset("p").unwrap());
    assert_eq!(store.load("p").unwrap(), None);
    assert_eq!(store.load("p2").unwrap().unwrap().offset(&one), Some(&next));
    assert_eq!(store.list().unwrap(), ["", "p2"]);
    // A change that removes the last thing leaves no pipeline behind.
    store.save("", Change { values: &[("only", None)], ..Change::default() }).unwrap();
    assert_eq!(store.list().unwrap(), ["p2"]);
}

#[test]
fn memory_conforms() {
    conforms(Memory::default());
}

#[test]
fn embedded_conforms_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("made/by/open");
    conforms(Embedded::open(&at).unwrap());
    assert_eq!(Embedded::open(&at).unwrap().list().unwrap(), ["p2"]);
    assert!(!at.join("weir.pid").exists());
}

#[test]
fn pipelines_of_one_process_share_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for pipeline in ["a", "b", "c"] {
            let mut store = store.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    let offset = map(json!({ "n": n }));
                    store.save(pipeline, Change { offsets: &[(&Json::new(), Some(&offset))], values: &[] }).unwrap();
                    assert_eq!(store.load(pipeline).unwrap().unwrap().offset(&Json::new()), Some(&offset));
                }
            });
        }
    });
    assert_eq!(store.list().unwrap(), ["a", "b", "c"]);
}

/// Not a test of its own: what the child processes below do.
#[test]
fn child() {
    let Ok(role) = std::env::var(CHILD) else { return };
    let (role, dir) = role.split_once(' ').unwrap();
    let mut store = Embedded::open(dir).unwrap();
    let mut n = last(&store) + 1;
    println!("\nstarted");
    if role == "hold" {
        // Until the parent ends this process.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    loop {
        let offset = map(json!({ "n": n }));
        let (a, b) = (map(json!({"p": "a"})), map(json!({"p": "b"})));
        let padding = vec![n as u8; (n * 37 % 5000) as usize];
        let values: [(&str, Option<&[u8]>); 2] = [("n", Some(&n.to_be_bytes())), ("padding", Some(&padding))];
        store.save("orders", Change { offsets: &[(&a, Some(&offset)), (&b, Some(&offset))], values: &values }).unwrap();
        println!("saved {n}");
        n += 1;
    }
}

/// The number that the child saved last; both offsets and both values belong to the same save.
fn last(store: &Embedded) -> i64 {
    let Some(stored) = store.load("orders").unwrap() else { return 0 };
    let n = stored.offset(&map(json!({"p": "a"}))).unwrap()["n"].as_i64().unwrap();
    assert_eq!(stored.offset(&map(json!({"p": "b"}))).unwrap()["n"], n);
    assert_eq!(stored.values["n"], n.to_be_bytes());
    assert_eq!(stored.values["padding"], vec![n as u8; (n * 37 % 5000) as usize]);
    n
}

struct Running(Child);

impl Running {
    fn start(role: &str, dir: &Path) -> (Self, impl Iterator<Item = String>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{role} {}", dir.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|l| l == "started"));
        (Running(child), lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL on Unix: nothing in the child gets a chance to tidy up.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_kill_in_the_middle_of_saves_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 1..=8 {
        let (child, mut lines) = Running::start("save", dir.path());
        let mut acknowledged = 0;
        for _ in 0..round * 3 {
            acknowledged = lines.next().unwrap().strip_prefix("saved ").unwrap().parse().unwrap();
        }
        drop(child);
        acknowledged = lines.filter_map(|l| l.strip_prefix("saved ")?.parse().ok()).last().unwrap_or(acknowledged);
        let stored = last(&Embedded::open(dir.path()).unwrap());
        assert!(acknowledged > before);
        assert!(stored == acknowledged || stored == acknowledged + 1, "{acknowledged} acknowledged, {stored} stored");
        before = stored;
    }
}

#[test]
fn a_second_process_is_refused_by_the_name_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (child, _lines) = Running::start("hold", dir.path());
    let error = Embedded::open(dir.path()).err().unwrap();
    assert_eq!(error.code(), "store.in-use");
    assert!(error.message().contains(&format!("process {}", child.0.id())), "{error}");
    assert!(error.hint().is_some());
    // The refused one leaves the holder's mark alone.
    assert!(dir.path().join("weir.pid").exists());
    drop(child);
    Embedded::open(dir.path()).unwrap();
}

#[test]
fn a_data_directory_that_cannot_be_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Embedded::open(file.path()).err().unwrap().code(), "store.denied");
}

/// Damage of every kind: an error, or what was stored (when the damage hit nothing that is used); never a panic, never other
/// offsets.
#[test]
fn a_damaged_file_is_an_error_and_never_a_wrong_offset() {
    let dir = tempfile::tempdir().unwrap();
    let offset = map(json!({ "lsn": 123456789 }));
    let stored = {
        let mut store = Embedded::open(dir.path()).unwrap();
        for n in 0..20 {
            let partition = map(json!({ "server": n }));
            store
                .save("orders", Change { offsets: &[(&partition, Some(&offset))], values: &[("v", Some(&[n; 2000]))] })
                .unwrap();
        }
        store.load("orders").unwrap()
    };
    let path = dir.path().join(embedded::FILE);
    let good = fs::read(&path).unwrap();
    let mut seed = 0x9e3779b97f4a7c15u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let used = good.len() - good.iter().rev().take_while(|b| **b == 0).count();
    let mut damaged: Vec<Vec<u8>> =
        vec![b"not a store at all".to_vec(), vec![0; 4096], good[..100].to_vec(), good[..good.len() / 2].to_vec()];
    for round in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..=round % 4 {
            // Half of the hits in the header, where sizes and roots are.
            let at = if random(2) == 0 { random(512) } else { random(used) };
            bytes[at] ^= 1 << random(8);
        }
        damaged.push(bytes);
    }
    let (mut errors, mut codes) = (0, std::collections::BTreeSet::new());
    for bytes in damaged {
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        match Embedded::open(dir.path()).and_then(|s| s.load("orders")) {
            Ok(read) => assert_eq!(read, stored),
            Err(e) => {
                errors += 1;
                codes.insert(e.code());
            }
        }
    }
    assert!(errors > 50, "{errors} {codes:?}");
    assert!(codes.contains("store.corrupted"), "{codes:?}");
}
