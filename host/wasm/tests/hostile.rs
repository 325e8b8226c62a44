//! Guests that break their contract: the right code, the process lives, the other rows pass, the next batch works (invariant 7).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are no tests to the lints

mod support;

use std::time::Duration;
use support::*;
use weir_api::Cure;
use weir_model::{Batch, Decision, Fault, Program};
use weir_wasm::{Engine, EngineOptions, Limits};

const ROWS: [Option<&str>; 6] = [Some("a"), Some("bb"), Some("poison"), Some("c"), None, Some("ddd")];
const CALM: [Option<&str>; 2] = [Some("a"), Some("b")];

/// Little time for guests that loop; so much for the others that a busy machine never takes it from them.
fn limits(mode: &str) -> Limits {
    let time = if mode.contains("loop") { Duration::from_millis(300) } else { Duration::from_secs(60) };
    Limits { time_per_batch: time, ..Limits::default() }
}

/// Applies a batch with a poison row, then one without. Returns (row, code, message) of the errors.
fn poisoned(mode: &str) -> Vec<(u32, String, String)> {
    let stream = stream(1, "orders");
    let mut bound = Bound::new(transform("hostile", &[("mode", mode)], limits(mode)), &stream).unwrap();
    let batch_with = batch(&stream, &ROWS);
    let applied = bound.apply(&batch_with).unwrap();
    let failed: Vec<u32> = applied.errors.iter().map(|e| e.0).collect();
    let count = applied.rows.as_ref().map_or(ROWS.len(), Vec::len);
    for (i, output) in (0..count).enumerate() {
        let row = applied.rows.as_ref().map_or(output as u32, |r| r[output]);
        if !failed.contains(&row) && mode != "int8" {
            let text = applied.columns[0].value(i as u32);
            assert_eq!(text.as_text().unwrap_or(""), ROWS[row as usize].unwrap_or(""), "{mode}");
        }
    }
    // each row is among the outputs, or failed
    for row in 0..ROWS.len() as u32 {
        let there = applied.rows.as_ref().is_none_or(|r| r.contains(&row));
        assert!(there || failed.contains(&row), "{mode}: row {row} is gone");
    }
    let calm = bound.apply(&batch(&stream, &CALM)).unwrap();
    assert!(calm.errors.is_empty(), "{mode}: {:?}", calm.errors);
    assert_eq!(applied.columns.len(), 1);
    let text = |n: &weir_model::Name| n.to_string();
    applied.errors.iter().map(|(r, f)| (*r, text(&f.code), text(&f.message))).collect()
}

fn only_poison(mode: &str, code: &str, says: &str) {
    let errors = poisoned(mode);
    let [(2, found, message)] = errors.as_slice() else { panic!("{mode}: {errors:?}") };
    assert_eq!(found, code, "{mode}: {message}");
    assert!(message.contains(says), "{mode}: {message}");
    assert!(message.contains("`step`") && !message.contains("poison"), "{mode}: {message}");
}

#[test]
fn a_trap_fails_its_row() {
    only_poison("trap", "guest.trap", "trapped in `apply`");
    only_poison("divide", "guest.trap", "in `");
    only_poison("stack", "guest.trap", "overflow");
    only_poison("deep", "guest.trap", "call stack exhausted");
}

#[test]
fn a_loop_fails_its_row() {
    only_poison("loop", "guest.timeout", "in `apply`");
}

#[test]
fn a_memory_bomb_fails_its_row() {
    only_poison("memory", "guest.memory", "65536 KiB");
}

#[test]
fn malformed_output_fails_its_row() {
    for (mode, says) in [
        ("short", "0 values for 1 rows"),
        ("long", "2 values for 1 rows"),
        ("valid", "validity"),
        ("ends-descend", "ends"),
        ("ends-outside", "outside its data"),
        ("utf8", "no UTF-8"),
        ("codes", "dictionary"),
        ("wrong-kind", "a column of int for a compute of kind string as native"),
        ("no-column", "0 columns, and 1 were agreed upon"),
        ("rows-range", "row 1 of 1 rows"),
        ("rows-descend", "descend"),
        ("layout-range", "layout 9"),
        ("layout-count", "2 layouts for 1 rows"),
        ("error-range", "an error of row 1"),
        ("added-path", "the record has no `value.nowhere`"),
        ("added-many", "more added layouts"),
    ] {
        only_poison(mode, "guest.output", says);
    }
}

#[test]
fn more_than_may_be_lifted_fails_its_row() {
    let stream = stream(1, "orders");
    let limits = Limits { lifted: 1 << 20, ..limits("") };
    let mut bound = Bound::new(transform("hostile", &[("mode", "huge")], limits), &stream).unwrap();
    let applied = bound.apply(&batch(&stream, &ROWS)).unwrap();
    assert_eq!(applied.errors.len(), 1);
    assert_eq!((applied.errors[0].0, &*applied.errors[0].1.code), (2, "guest.output"));
    assert!(applied.errors[0].1.message.contains("too much data"), "{}", applied.errors[0].1.message);
}

#[test]
fn a_batch_keeps_no_more_for_being_cut_up() {
    let stream = stream(1, "orders");
    let rows: Vec<_> = (0..20).map(|i| Some(if i % 2 == 0 { "poison" } else { "calm" })).collect();
    // three texts of 20 MiB are less than 64 MiB, and what is small fits beside them
    let mut bound = Bound::new(transform("hostile", &[("mode", "huge-text")], limits("")), &stream).unwrap();
    let applied = bound.apply(&batch(&stream, &rows)).unwrap();
    assert_eq!(applied.errors.iter().map(|e| e.0).collect::<Vec<_>>(), [6, 8, 10, 12, 14, 16, 18]);
    assert!(applied.errors.iter().all(|e| &*e.1.code == "guest.output"));
    // a word is written out for each row that names it
    let mut bound = Bound::new(transform("hostile", &[("mode", "huge-word")], limits("")), &stream).unwrap();
    assert!(bound.apply(&batch(&stream, &rows)).unwrap().errors.is_empty(), "20 MiB");
    let applied = bound.apply(&batch(&stream, &[Some("calm"); 100])).unwrap();
    assert_eq!(applied.errors.len(), 50, "the second half of what is too much as a whole");
    assert!(applied.errors.iter().all(|e| &*e.1.code == "guest.output"));
}

#[test]
fn rows_that_a_guest_fails_have_its_own_code() {
    let errors = poisoned("error");
    assert_eq!(errors, [(2, "org.example.Refused".to_string(), "not this row".to_string())]);
    // err fails every row of the batch
    let errors = poisoned("refuse");
    assert_eq!(errors.len(), ROWS.len());
    assert!(errors.iter().all(|e| e.1 == "org.example.Refused" && e.2 == "not this batch"));
}

#[test]
fn a_value_that_its_kind_cannot_hold_fails_its_row() {
    only_poison("int8", "guest.value", "int8 cannot hold");
}

#[test]
fn rows_of_a_stateful_transform_fail_together() {
    let errors = poisoned("ordered");
    assert_eq!(errors.iter().map(|e| e.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(errors.iter().all(|e| e.1 == "guest.trap"));
}

#[test]
fn a_flood_of_logs_costs_nobody_his_rows() {
    assert_eq!(poisoned("log-flood"), []);
}

#[test]
fn many_poison_rows_fail_each() {
    let stream = stream(1, "orders");
    let mut bound = Bound::new(transform("hostile", &[("mode", "trap")], limits("trap")), &stream).unwrap();
    let statuses: Vec<Option<&str>> = (0..512).map(|i| Some(if i % 50 == 7 { "poison" } else { "x" })).collect();
    let applied = bound.apply(&batch(&stream, &statuses)).unwrap();
    let failed: Vec<u32> = applied.errors.iter().map(|e| e.0).collect();
    assert_eq!(failed, (0..512).filter(|i| i % 50 == 7).collect::<Vec<_>>());
    assert_eq!(applied.rows.unwrap().len(), 512 - failed.len());
    assert!(applied.layouts.iter().all(|l| *l == 0));
}

#[test]
fn a_batch_of_hanging_rows_ends() {
    let stream = stream(1, "orders");
    let limits = Limits { time_per_batch: Duration::from_millis(20), ..Limits::default() };
    let mut bound = Bound::new(transform("hostile", &[("mode", "loop")], limits), &stream).unwrap();
    let applied = bound.apply(&batch(&stream, &[Some("poison"); 500])).unwrap();
    assert_eq!(applied.errors.len(), 500);
    assert!(applied.errors.iter().all(|e| &*e.1.code == "guest.timeout"));
    assert!(bound.apply(&batch(&stream, &CALM)).unwrap().errors.is_empty());
}

#[test]
fn options_that_a_guest_refuses_are_an_input_error() {
    for (mode, code, cure, says) in [
        ("configure-refuse", "guest.configure", Cure::Input, "org.example.Refused: no such mode"),
        ("configure-trap", "guest.trap", Cure::None, "trapped in `configure`"),
        ("configure-loop", "guest.timeout", Cure::None, "more than 300ms in `configure`"),
        ("configure-memory", "guest.memory", Cure::None, "in `configure`"),
    ] {
        let made = module("hostile").transform("step", &options(&[("mode", mode)]), limits(mode));
        let Err(e) = made else { panic!("{mode}") };
        assert_eq!((e.code(), e.cure()), (code, cure), "{mode}");
        assert!(e.message().contains(says), "{mode}: {e}");
    }
    // too little memory to start
    let made = module("hostile").transform("step", &[], Limits::default().memory(64 << 10));
    assert_eq!(made.err().map(|e| e.code()), Some("guest.memory"));
}

#[test]
fn a_binding_is_checked() {
    let stream = stream(1, "orders");
    for (mode, says) in [
        ("bind-trap", "trapped in `bind`"),
        ("bind-loop", "more than 300ms in `bind`"),
        ("bind-memory", "65536 KiB"),
        ("bind-huge", "says more in its bindings"),
        ("lie-field", "read 0: the shape has no field 9999"),
        ("lie-source", "layout 0: edit 0: the shape has no field 9999"),
        ("lie-path", "the record has no `value.nowhere`"),
        ("lie-remove", "the record has no `value.nowhere`"),
        ("lie-empty-path", "a path needs a root"),
        ("lie-root", "the record has no `meta`"),
        ("lie-rename", "`before` is there already"),
        ("lie-computed", "rule `r`: layout 0 takes a computed column"),
        ("lie-compute-index", "there is no computed column 7"),
        ("lie-layout", "there is no layout 7"),
        ("lie-native", "struct has no native column"),
        ("lie-dictionary", "a dictionary holds text, not int64"),
        ("lie-native-struct", "compute 0: struct has no native column"),
        ("lie-presence", "presence is only delivered"),
        ("lie-typed", "its kind is any, not string"),
        ("lie-tree", "must be its own parent"),
        ("lie-compare", "string cannot be compared"),
        ("lie-constant", "a constant: a number that its integer kind cannot hold"),
        ("lie-json", "a constant: text that is no JSON"),
        ("lie-default", "a default: bytes is no value of kind string"),
        ("lie-topic", "a topic cannot be struct"),
    ] {
        let mut step = transform("hostile", &[("mode", mode)], limits(mode));
        let (shape, _) = stream.program.layouts[0].describe().unwrap();
        match step.bind(&shape) {
            Err(Fault::Broken(e)) => assert!(e.0.contains(says), "{mode}: {e}"),
            other => panic!("{mode}: {other:?}"),
        }
        assert!(Bound::new(step, &stream).is_err(), "{mode}");
    }
}

#[test]
fn a_refused_shape_fails_its_rows() {
    let mut step = transform("hostile", &[("mode", "bind-refuse")], limits(""));
    let (shape, _) = stream(1, "orders").program.layouts[0].describe().unwrap();
    for _ in 0..2 {
        let Err(Fault::Rows(f)) = step.bind(&shape) else { panic!() };
        assert_eq!((&*f.code, &*f.message), ("org.example.Refused", "not this shape"));
    }
}

/// Messages go into logs and headers.
#[test]
fn what_is_said_of_a_failure_is_cut() {
    let errors = poisoned("huge-error");
    let (_, code, message) = &errors[0];
    assert_eq!(
        (code.as_str(), message.chars().count()),
        ("org.example.Refused", 4097),
        "4096 and a sign that there was more"
    );
}

/// What it adds is noted for as long as it lives, so there is an end to it also where it is always the same.
#[test]
fn an_instance_adds_so_much_and_no_more() {
    let stream = stream(1, "orders");
    let mode = [("mode", "added-again")];
    let mut bound = Bound::new(transform("hostile", &mode, limits("added-again")), &stream).unwrap();
    let mut failed = || bound.apply(&batch(&stream, &[Some("poison")])).unwrap().errors.len();
    assert_eq!([failed(), failed(), failed()], [0, 1, 0], "the third one has a fresh instance");
}

/// What an instance says of a shape must not depend on what it was asked before: the next one is asked in another order.
#[test]
fn a_guest_that_contradicts_itself_is_found_out() {
    let (orders, items) = (stream(1, "orders"), stream(2, "items"));
    for (mode, code, is_retriable) in [("fickle", "guest.changed", true), ("shy", "guest.bind", false)] {
        let mut of_orders = Bound::new(transform("hostile", &[("mode", mode)], limits(mode)), &orders).unwrap();
        let Bound { transform, program } = &mut of_orders;
        let mut of_items = items.program.then(0, transform.as_mut()).unwrap();
        let mut apply = |program: &mut Program, batch: &Batch| {
            let mut decision = Decision::default();
            program.decide(batch, &mut decision);
            transform.apply(&program.calls, batch, &decision.asked())
        };
        assert_eq!(apply(program, &batch(&orders, &CALM)).unwrap().errors.len(), 0, "{mode}");
        assert_eq!(apply(&mut of_items, &batch(&items, &CALM)).unwrap().errors.len(), 0, "{mode}");
        // the one poison row of a batch of one: nothing binds the new instance to anything
        assert_eq!(apply(program, &batch(&orders, &[Some("poison")])).unwrap().errors.len(), 1, "{mode}");
        let e = apply(&mut of_items, &batch(&items, &CALM)).unwrap_err();
        assert_eq!((e.code(), e.is_retriable()), (code, is_retriable), "{mode}: {e}");
    }
}

// === what is no guest at all ===

/// A core module with one import, or none.
fn core(import: Option<(&str, &str)>) -> Vec<u8> {
    let mut out = b"\0asm\x01\0\0\0".to_vec();
    let Some((module, name)) = import else { return out };
    // one type () -> (), one function imported
    out.extend([1, 4, 1, 0x60, 0, 0]);
    let mut body = vec![1, module.len() as u8];
    body.extend(module.as_bytes());
    body.push(name.len() as u8);
    body.extend(name.as_bytes());
    body.extend([0, 0]);
    out.extend([2, body.len() as u8]);
    out.extend(body);
    out
}

#[test]
fn what_is_no_transform_is_refused() {
    let engine = engine();
    let no_component = b"\0asm\x0d\0\x01\0".to_vec();
    for (what, bytes, code, says) in [
        ("nothing", vec![], "guest.format", "neither a component nor a core module"),
        ("text", b"(module)".to_vec(), "guest.format", "neither a component nor a core module"),
        ("cut off", guest("healthy")[..5000].to_vec(), "guest.format", "cut off"),
        ("bare", core(None), "guest.world", "without the types of a world"),
        (
            "wasi",
            core(Some(("wasi_snapshot_preview1", "fd_write"))),
            "guest.imports",
            "wasi_snapshot_preview1::fd_write",
        ),
        ("env", core(Some(("env", "now"))), "guest.imports", "env::now"),
        ("empty component", no_component, "guest.world", "no transform"),
    ] {
        let Err(e) = engine.load(what, &bytes) else { panic!("{what}") };
        assert_eq!(e.code(), code, "{what}: {e}");
        assert!(e.message().contains(says), "{what}: {e}");
        assert_eq!(e.cure(), Cure::Input);
        assert!(e.hint().is_some() || code == "guest.format", "{what}");
    }
}

#[test]
fn a_cache_that_cannot_be_used_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Engine::new(EngineOptions { cache_dir: Some(file.path().into()) });
    assert_eq!(refused.unwrap_err().code(), "guest.cache");
}

/// The policy of the thread that asks, as proc(5) numbers them.
#[cfg(target_os = "linux")]
fn policy() -> String {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().to_string()
}

/// Invariant 7: what a guest wastes costs its own pipeline, whose thread gives way.
#[test]
#[cfg(target_os = "linux")]
fn who_wastes_time_gives_way_and_nobody_else_does() {
    const IDLE: &str = "5";
    let thread = |mode: &'static str, rows: &'static [Option<&str>], most: usize| {
        let work = move || {
            let stream = stream(1, "orders");
            let mut bound = Bound::new(transform("hostile", &[("mode", mode)], limits(mode)), &stream).unwrap();
            let batch = batch(&stream, rows);
            (0..most).any(|_| {
                bound.apply(&batch).unwrap();
                policy() == IDLE
            })
        };
        std::thread::spawn(work).join().unwrap()
    };
    for mode in
        ["loop", "trap", "stack", "memory", "leak", "short", "added-again", "huge-word", "huge-error", "log-flood"]
    {
        assert!(thread(mode, &ROWS, 100_000), "{mode}");
        assert!(!thread(mode, &CALM, 20), "{mode} without poison");
    }
    assert_ne!(policy(), IDLE);
}
