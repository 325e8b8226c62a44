//! What was streamed in progress leaves as what was sent when it was committed, whatever the interleaving.

use super::*;
use crate::in_progress::spill::Place as SpillPlace;
use crate::pgoutput::{Captured, Place, Relation, Skipped};
use proptest::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use weir_model::{Program, Stream};

/// One step of a transaction: a row, a savepoint that begins, is kept, or is rolled back.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Row,
    Save,
    Release,
    RollBack,
}

#[derive(Clone, Debug)]
struct Work {
    steps: Vec<Step>,
    committed: bool,
}

/// A change of the log: whose, and what.
struct Change {
    transaction: usize,
    id: u32,
    lsn: u64,
}

/// Everything that is seen of a row.
type Seen = (u64, i64, u64, u64, Vec<u8>, Place);

const NONE: Skipped = Skipped { create: false, update: false, delete: false, truncate: false };

fn data(lsn: u64, message: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![b'w'];
    body.extend([lsn.to_be_bytes(), lsn.to_be_bytes(), [0; 8]].concat());
    body.extend(message.concat());
    let mut frame = vec![];
    crate::frame::push(&mut frame, b'd', &body);
    frame
}

fn keepalive(lsn: u64) -> Vec<u8> {
    let mut frame = vec![];
    crate::frame::push(&mut frame, b'd', &[&[b'k'][..], &lsn.to_be_bytes(), &[0; 9]].concat());
    frame
}

/// `id` before it: of a message in a stream.
fn relation(lsn: u64, id: &[u8]) -> Vec<u8> {
    let columns = [&[0, 1, 1][..], b"v\0", &25u32.to_be_bytes(), &[255; 4]].concat();
    data(lsn, &[b"R", id, &9u32.to_be_bytes(), b"public\0t\0d", &columns])
}

fn row(lsn: u64, id: &[u8], pad: usize) -> Vec<u8> {
    let text = format!("{lsn}{}", "x".repeat(pad));
    data(
        lsn,
        &[b"I", id, &9u32.to_be_bytes(), b"N", &[0, 1], b"t", &(text.len() as u32).to_be_bytes(), text.as_bytes()],
    )
}

fn ends(commit: u64) -> [u8; 24] {
    [commit, commit + 1, commit * 1000].map(u64::to_be_bytes).concat().try_into().unwrap()
}

/// The log of interleaved work, and the same as both versions send it.
struct Log {
    committed: Vec<u8>,
    streamed: Vec<u8>,
    /// whose work was committed where
    commits: Vec<(usize, u64)>,
}

/// A transaction as the log has it so far.
#[derive(Default)]
struct Open {
    /// top, then open savepoints, with what was released into each
    stack: Vec<(u32, Vec<u32>)>,
    at: usize,
    rows: Vec<Change>,
    aborted: Vec<u32>,
    is_begun: bool,
}

/// `turns`: who goes on, for how many steps.
fn log(works: &[Work], turns: &[(usize, usize)], pad: usize) -> Log {
    let mut log = Log { committed: relation(1, b""), streamed: vec![], commits: vec![] };
    let mut open: Vec<Open> = works.iter().map(|_| Open::default()).collect();
    let (mut lsn, mut ids) = (10, 100);
    // a rollback ends a turn
    let rest = (0..works.len()).flat_map(|who| works[who].steps.iter().map(move |_| (who, 9)).chain([(who, 9)]));
    let all = turns.iter().map(|(who, n)| (who % works.len(), *n)).chain(rest);
    for (who, steps) in all {
        let (o, work) = (&mut open[who], &works[who]);
        if o.at > work.steps.len() {
            continue;
        }
        if o.stack.is_empty() {
            ids += 1;
            o.stack.push((ids, vec![]));
        }
        let top = o.stack[0].0;
        let mut block = data(lsn, &[b"S", &top.to_be_bytes(), &[u8::from(!o.is_begun)]]);
        if !std::mem::replace(&mut o.is_begun, true) {
            block.extend(relation(lsn, &top.to_be_bytes()));
        }
        let mut aborts = vec![];
        for step in work.steps.iter().skip(o.at).take(steps) {
            (lsn, o.at) = (lsn + 10, o.at + 1);
            let current = o.stack.last().unwrap().0;
            match step {
                Step::Row => {
                    block.extend(row(lsn, &current.to_be_bytes(), pad));
                    o.rows.push(Change { transaction: who, id: current, lsn });
                    if lsn % 70 == 0 {
                        block.extend(keepalive(lsn));
                        log.committed.extend(keepalive(lsn));
                    }
                }
                Step::Save => {
                    ids += 1;
                    o.stack.push((ids, vec![]));
                }
                Step::Release | Step::RollBack if o.stack.len() > 1 => {
                    let (id, mut with) = o.stack.pop().unwrap();
                    with.push(id);
                    match step {
                        Step::Release => o.stack.last_mut().unwrap().1.extend(with),
                        _ => aborts.extend(with),
                    }
                    // an abort is told between two streams
                    if *step == Step::RollBack {
                        break;
                    }
                }
                _ => {}
            }
        }
        log.streamed.extend(block);
        log.streamed.extend(data(lsn, &[b"E"]));
        for sub in &aborts {
            log.streamed.extend(data(lsn, &[b"A", &top.to_be_bytes(), &sub.to_be_bytes()]));
        }
        o.aborted.extend(aborts);
        if o.at >= work.steps.len() {
            (lsn, o.at) = (lsn + 10, usize::MAX);
            match work.committed {
                true => {
                    log.commits.push((who, lsn));
                    log.streamed.extend(data(lsn, &[b"c", &top.to_be_bytes(), &[0], &ends(lsn)]));
                    let begin = [lsn, lsn * 1000].map(u64::to_be_bytes).concat();
                    log.committed.extend(data(lsn, &[b"B", &begin, &top.to_be_bytes()]));
                    for change in o.rows.iter().filter(|c| c.transaction == who && !o.aborted.contains(&c.id)) {
                        log.committed.extend(row(change.lsn, b"", pad));
                    }
                    log.committed.extend(data(lsn, &[b"C", &[0], &ends(lsn)]));
                }
                false => log.streamed.extend(data(lsn, &[b"A", &top.to_be_bytes(), &top.to_be_bytes()])),
            }
        }
    }
    log
}

/// What comes out of it, read in pieces, in windows of a few rows.
fn seen(wire: &[u8], piece: usize, limit: Limit, bounds: Option<Bounds>, place: Place) -> Vec<Seen> {
    let mut intake = Intake::new(Decoder::new(place, 0, NONE), bounds);
    let stream = Arc::new(Stream { id: 1, name: "t".into(), width: 1, program: Program::default() });
    let captured = Captured { stream, key: vec![], forms: Arc::from([b't']) };
    let mut describe = |_: Relation| Ok(Some(captured.clone()));
    let (mut all, mut window) = (vec![], Window::default());
    for piece in wire.chunks(piece) {
        intake.buffer.extend_from_slice(piece);
        while intake.is_replaying() || intake.has_frame().unwrap() {
            window.runs.clear();
            intake.take_back(&mut window);
            intake.fill(&mut window, limit, 0, &mut describe).unwrap();
            assert!(window.rows() <= limit.rows);
            for run in &window.runs {
                let batch = &window.batches[run.batch as usize];
                if run.to - run.from > 1 && intake.is_replaying() {
                    assert!(window.bytes <= limit.bytes, "{} bytes", window.bytes);
                }
                for row in &batch.rows[run.from as usize..run.to as usize] {
                    let t = batch.transaction(row);
                    let cell = batch.bytes(batch.cell(row, weir_model::Side::After, 0)).to_vec();
                    all.push((t.id, t.commit_us, t.last_commit, row.position, cell, Place::default()));
                }
            }
            if let Some(last) = all.last_mut().filter(|_| !window.runs.is_empty()) {
                last.5 = intake.decoder.place;
            }
        }
    }
    all
}

fn bounds(directory: &Path, memory: usize) -> Option<Bounds> {
    Some(Bounds { memory, place: SpillPlace { directory: directory.into(), slot: "s".into() } })
}

fn work() -> impl Strategy<Value = Work> {
    let step = prop_oneof![
        6 => Just(Step::Row), 1 => Just(Step::Save), 1 => Just(Step::Release), 1 => Just(Step::RollBack)
    ];
    (prop::collection::vec(step, 0..40), prop::bool::weighted(0.7))
        .prop_map(|(steps, committed)| Work { steps, committed })
}

fn placeless(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().cloned().map(|s| (s.0, s.1, s.2, s.3, s.4, Place::default())).collect()
}

proptest! {
    #[test]
    fn streams_are_worth_what_commits_are(
        works in prop::collection::vec(work(), 1..5),
        turns in prop::collection::vec((0usize..5, 1usize..9), 0..30),
        (piece, rows, bytes) in (1usize..3000, 1usize..30, 1usize..2000),
        (pad, memory) in (0usize..200, prop_oneof![Just(0usize), Just(2000), Just(1 << 20)]),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let log = log(&works, &turns, pad);
        let limit = Limit { rows, bytes };
        let committed = seen(&log.committed, 1 << 20, Limit { rows: 1 << 20, bytes: 1 << 30 }, None, Place::default());
        let streamed = seen(&log.streamed, piece, limit, bounds(directory.path(), memory), Place::default());
        prop_assert_eq!(placeless(&committed), placeless(&streamed));
        prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        // from every place that was stored the rest comes, and nothing else
        let mut sent = HashMap::new();
        for (i, s) in streamed.iter().enumerate().filter(|(_, s)| s.5.within > 0) {
            sent.insert(i, s.5);
        }
        for (i, place) in sent.into_iter().take(3) {
            // the server sends no transaction that was committed before
            let before = |who: usize| log.commits.iter().any(|(w, at)| *w == who && *at < place.within);
            let left = |(who, w): (usize, &Work)| Work { committed: w.committed && !before(who), ..w.clone() };
            let works: Vec<_> = works.iter().enumerate().map(left).collect();
            let again = self::log(&works, &turns, pad);
            let rest = seen(&again.streamed, 1 << 20, limit, bounds(directory.path(), memory), place);
            prop_assert_eq!(placeless(&rest), placeless(&streamed[i + 1..]));
        }
    }
}
