//! Killed before and after every step that a promise rests on (invariants 1 to 6, 9), on a real PostgreSQL, whose slot forgets what was
//! confirmed: nothing is lost, nothing that a stored offset covers comes again, and the consumer ends with what the tables hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;
#[path = "support/witness.rs"]
mod witness;

use std::path::Path;
use std::time::{Duration, Instant};
use support::{Place, Weir, wait_for};
use weir_api::failpoint::Point;
use weir_testkit::{Postgres, guest};
use witness::{COUNTERS, Witness, big, round};

const LIMIT: Duration = Duration::from_secs(60);

/// What leads to a point.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Plain,
    /// big transactions, which the server sends in progress
    Big,
    /// a snapshot that was cut off before
    CutOff,
    /// rows that a transform cannot take
    Poison,
}

/// How a point is come to, and which times of it are tried. The thread that writes lines is held for longer than offsets wait to be
/// stored: what is not written must not be covered by one.
fn way(point: Point) -> (Way, &'static [&'static str]) {
    use Point::*;
    match point {
        PublicationMade | SlotMade | SnapshotImported | SnapshotRead | StreamBegun => (Way::Plain, &["1"]),
        SnapshotAnnounced | PartDone => (Way::Plain, &["1", "2"]),
        BetweenDone => (Way::CutOff, &["1"]),
        WindowRead | BlockBefore | BlockAfter | BlockDurable | SaveBefore | StoreCommitBefore | StoreCommitAfter
        | SaveAfter | StatusBefore | StatusAfter => (Way::Plain, &["1", "4"]),
        LinesBefore | LinesAfter | LinesSynced => (Way::Plain, &["1+1200", "4+1200"]),
        SpillMade | SpillWritten | SpillRead | SpillRemoved => (Way::Big, &["1", "3"]),
        LetterAfter => (Way::Poison, &["1"]),
    }
}

fn pipeline(postgres: &Postgres, database: &str, way: Way) -> String {
    let more = match way {
        Way::Big => "stream.in.progress = true\nstream.memory.bytes = 0\n",
        _ => "",
    };
    format!(
        "name = \"w\"\n[source.postgres]\nurl = \"{}\"\ntopic.prefix = \"w\"\nslot.name = \"{database}\"\n\
         publication.name = \"w\"\n{more}\n[sink.file]\npath = \"out.ndjson\"\nvalue.format = \"json\"\n",
        postgres.url_of(database)
    )
}

/// Writes rounds until weir is dead, or for good.
fn rounds(postgres: &Postgres, database: &str, from: &mut u64, way: Way, mut is_enough: impl FnMut() -> bool) {
    while !is_enough() {
        *from += 1;
        postgres.sql_in(database, &round(*from)).expect("a round");
        if way == Way::Big {
            postgres.sql_in(database, &big(*from)).expect("a big transaction");
        }
    }
}

fn start_at(place: &Place, point: &str) -> Weir {
    place.start_under(&["run", "p.toml"], &[("WEIR_FAILPOINT", point)])
}

/// Kills weir at a point, starts it again, and looks at everything; says how many changes came again.
fn kill_at(name: &str, time: &str, way: Way) -> u64 {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    Witness::tables(postgres, &database);
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database, way));
    let (mut witness, mut i) = (Witness::of(place.path("out.ndjson")), 0);
    let mut die = |point: &str, i: &mut u64| {
        let (mut weir, begun) = (start_at(&place, point), Instant::now());
        rounds(postgres, &database, i, way, || {
            assert!(begun.elapsed() < LIMIT, "{point} is never reached: {}", weir.log());
            !weir.is_running()
        });
        assert!(weir.wait().code().is_none(), "{point}: ended, and not killed");
        witness.death(&place, "w");
    };
    if way == Way::CutOff {
        die("part-done@1", &mut i);
    }
    die(&format!("{name}@{time}"), &mut i);
    // while nobody reads
    let mut left = 4;
    rounds(postgres, &database, &mut i, way, || {
        left -= 1;
        left == 0
    });
    if way == Way::Big {
        // of a transaction that does not come again: rolled back meanwhile, say
        let left = place.path(&format!("data/spill/w/{database}-1.spill"));
        std::fs::write(left, "frames").expect("a file");
    }
    witness.finish(&place, || {
        postgres.sql_in(&database, "INSERT INTO zoo VALUES (99, 1)").expect("the last change");
    });
    witness.compare(postgres, &database);
    assert!(!place.path("data/spill/w").read_dir().is_ok_and(|mut d| d.next().is_some()), "{name}: a file is left");
    witness.again
}

#[test]
fn nothing_is_lost_wherever_it_is_killed() {
    let (mut again, mut failed) = (vec![], vec![]);
    for (point, name, what) in Point::ALL {
        let (way, times) = way(*point);
        for time in times.iter().filter(|_| way != Way::Poison) {
            println!("{name}@{time}: {what}");
            // every point is tried: which of them fail says what is broken
            match std::panic::catch_unwind(|| kill_at(name, time, way)) {
                Ok(changes) => again.push((format!("{name}@{time}"), changes)),
                Err(_) => failed.push(format!("{name}@{time}")),
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    let all: u64 = again.iter().map(|a| a.1).sum();
    let most = again.iter().max_by_key(|a| a.1);
    println!("{} kills, {all} changes of {COUNTERS} counters again, most at {most:?}", again.len());
}

/// A letter and the rows around it, where the process ends when the letter has just been taken.
#[test]
fn a_letter_is_not_lost_where_it_was_taken() {
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    let table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 450)";
    postgres.sql_in(&database, table).expect("a table");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/poison");
    let poison = guest::build(&folder, "poison", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("poison-points"));
    let step = format!(
        "[[transform]]\nuse = \"{}\"\non-error = \"dead-letter\"\n[errors]\ndead-letter = {{ file = \"dead.ndjson\" }}\n",
        poison.expect("a guest").display()
    );
    let place = Place::new();
    place.write("p.toml", &(pipeline(postgres, &database, Way::Poison) + &step));
    let weir = start_at(&place, "letter-after");
    assert!(weir.wait().code().is_none(), "ended, and not killed");
    let weir = place.start("p.toml");
    postgres.sql_in(&database, "INSERT INTO t SELECT generate_series(451, 501)").expect("more rows");
    let ids = |file: &str| -> Vec<u64> {
        let text = support::read(&place.path(file));
        let whole = text.rfind('\n').map_or("", |at| &text[..at]);
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].clone();
        let mut ids: Vec<_> = whole
            .lines()
            .map(id)
            .map(|k| k.pointer("/payload/id").or(k.get("id")).unwrap().as_u64().unwrap())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    wait_for("the last row", LIMIT, || ids("out.ndjson").contains(&501).then_some(()));
    wait_for("the last letter", LIMIT, || ids("dead.ndjson").contains(&500).then_some(()));
    assert!(weir.stop().success());
    assert_eq!(ids("out.ndjson"), (1..=501).filter(|i| i % 100 != 0).collect::<Vec<_>>());
    assert_eq!(ids("dead.ndjson"), [100, 200, 300, 400, 500]);
}

/// Killed at any moment, over all sorts of load; `WEIR_KILLS` asks for more.
#[test]
fn nothing_is_lost_at_random() {
    let kills = std::env::var("WEIR_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let postgres = Postgres::shared().expect("PostgreSQL");
    let database = postgres.database().expect("a database");
    Witness::tables(postgres, &database);
    let place = Place::new();
    place.write("p.toml", &pipeline(postgres, &database, Way::Big));
    let (mut witness, mut i, mut stored) = (Witness::of(place.path("out.ndjson")), 0, 0);
    let mut seed = std::process::id() as u64 | 1;
    for _ in 0..kills {
        let (weir, begun) = (place.start("p.toml"), Instant::now());
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // from the first instruction to some offsets behind
        let life = Duration::from_millis((seed >> 33) % 1500);
        let way = if seed >> 40 & 3 == 0 { Way::Big } else { Way::Plain };
        rounds(postgres, &database, &mut i, way, || begun.elapsed() >= life);
        weir.kill();
        stored += u32::from(witness.death(&place, "w"));
    }
    witness.finish(&place, || {
        postgres.sql_in(&database, "INSERT INTO zoo VALUES (99, 1)").expect("the last change");
    });
    witness.compare(postgres, &database);
    let changes = i * COUNTERS;
    println!(
        "{kills} kills, {stored} behind a stored offset; {} records, {changes} changes of counters, {} of them again, 0 lost",
        witness.lines, witness.again
    );
}
