//! Guests that keep their contract: what they read is what the rows hold, what they compute is what is written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are no tests to the lints

mod support;

use support::*;
use weir_model::{Kind, Value};
use weir_runtime::OnError;
use weir_wasm::{Engine, EngineOptions, Limits, OptionType};

const STATUSES: [Option<&str>; 7] = [Some("new"), None, Some("paid"), Some("grün ✓"), Some(""), Some("paid"), None];

fn plain() -> Vec<Said> {
    records(&run(&mut chain(vec![], OnError::Fail), batch(&stream(1, "orders"), &STATUSES)).unwrap())
}

fn through(pairs: &[(&str, &str)]) -> Vec<Said> {
    let mut chain = chain(vec![transform("healthy", pairs, Limits::default())], OnError::Fail);
    let blocks = run(&mut chain, batch(&stream(1, "orders"), &STATUSES)).unwrap();
    assert_eq!(blocks.failed, None);
    records(&blocks)
}

#[test]
fn every_sort_of_column_goes_round() {
    assert_eq!(plain().len(), 7);
    assert_eq!(through(&[("mode", "echo")]), plain());
}

#[test]
fn a_whole_root_goes_round_as_json() {
    assert_eq!(through(&[("mode", "json")]), plain());
}

#[test]
fn a_dictionary_goes_round() {
    assert_eq!(through(&[("mode", "dictionary"), ("field", "status")]), plain());
}

#[test]
fn text_is_changed_and_nothing_else() {
    let (before, after) = (plain(), through(&[("mode", "upper")]));
    assert!(after[0].value.contains(r#""status":"NEW""#) && after[3].value.contains(r#""status":"GRüN ✓""#));
    assert_ne!(before[2].value, after[2].value);
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(b.value.to_ascii_uppercase(), a.value.to_ascii_uppercase());
    }
}

#[test]
fn rows_are_chosen() {
    let before = plain();
    assert_eq!(
        through(&[("mode", "filter"), ("field", "status"), ("keep", "paid")]),
        [before[2].clone(), before[5].clone()]
    );
    let even: Vec<Said> = before.into_iter().step_by(2).collect();
    assert_eq!(through(&[("mode", "drop-odd"), ("field", "status")]), even);
}

#[test]
fn a_row_becomes_two_records() {
    let said = through(&[("mode", "fan"), ("field", "status")]);
    let before = plain();
    assert_eq!(said.len(), 14);
    for (i, s) in said.iter().enumerate() {
        assert_eq!(s.value, before[i / 2].value);
        let status = STATUSES[i / 2].unwrap_or("");
        let want = if i % 2 == 0 { vec![] } else { vec![("copy".to_string(), format!("{status}1"))] };
        assert_eq!(s.headers, want);
    }
}

#[test]
fn presence_is_told_without_the_value() {
    let said = through(&[("mode", "presence")]);
    assert!(said.iter().all(|s| s.headers == [("before".to_string(), "false".to_string())]), "{said:?}");
}

#[test]
fn a_value_comes_with_its_type() {
    let said = through(&[("mode", "typed")]);
    let before = plain();
    for (s, b) in said.iter().zip(before) {
        let after = b.value.split_once(r#""after":"#).unwrap().1.split_once(r#","source""#).unwrap().0;
        assert_eq!(s.value, after);
    }
}

const ROUTE: [(&str, &str); 2] = [("mode", "route"), ("field", "status")];

#[test]
fn layouts_are_added_as_values_show_them() {
    let stream = stream(1, "orders");
    let mut chain = chain(vec![transform("healthy", &ROUTE, Limits::default())], OnError::Skip);
    let mut topics = |statuses: &[&str]| {
        let all: Vec<Option<&str>> = statuses.iter().map(|s| Some(*s)).collect();
        let blocks = run(&mut chain, batch(&stream, &all)).unwrap();
        records(&blocks).into_iter().map(|r| r.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(&["a", "b", "a"]), ["a", "b", "a"]);
    assert_eq!(topics(&["c", "b"]), ["c", "b"]);
    // the new instance numbers its layouts from the start again
    assert_eq!(topics(&["poison", "b", "d", "c"]), ["b", "d", "c"]);
    assert_eq!(topics(&["d", "a", "b", "c"]), ["d", "a", "b", "c"]);
}

#[test]
fn added_layouts_reach_every_stream_of_a_shape() {
    let (one, two, late) = (stream(1, "orders"), stream(2, "orders"), stream(3, "orders"));
    let mut chain = chain(vec![transform("healthy", &ROUTE, Limits::default())], OnError::Fail);
    let mut topics = |stream, statuses: &[&str]| {
        let all: Vec<Option<&str>> = statuses.iter().map(|s| Some(*s)).collect();
        let blocks = run(&mut chain, batch(stream, &all)).unwrap();
        records(&blocks).into_iter().map(|r| r.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(&two, &["z"]), ["z"]);
    assert_eq!(topics(&one, &["a", "b"]), ["a", "b"]);
    assert_eq!(topics(&two, &["b", "c", "z"]), ["b", "c", "z"]);
    assert_eq!(topics(&late, &["c", "a"]), ["c", "a"]);
    assert_eq!(topics(&one, &["c", "d"]), ["c", "d"]);
}

/// A program knows layouts by number: one that outlived what the step knows of its shape must not take others for them.
#[test]
fn a_shape_that_returns_after_ten_thousand_others_is_bound_anew() {
    let mut chain = chain(vec![transform("healthy", &ROUTE, Limits::default())], OnError::Fail);
    let orders = stream(0, "orders");
    assert_eq!(run(&mut chain, batch(&orders, &[Some("a")])).unwrap().records, 1);
    // five shapes each
    for n in 1..=2_000 {
        run(&mut chain, batch(&stream(n, &format!("t{n}")), &[])).unwrap();
    }
    let Err(e) = run(&mut chain, batch(&orders, &[Some("b")])) else { panic!("layouts of its own") };
    assert!(e.code() == "guest.layouts" && e.is_retriable(), "{e}");
}

#[test]
fn other_code_in_front_leaves_layouts_behind_it_as_they_are() {
    let stamp = || module("stamp").transform("stamp", &[], Limits::default()).unwrap();
    let (one, two) = (stream(1, "orders"), stream(2, "orders"));
    let mut chain = chain(vec![stamp(), transform("healthy", &ROUTE, Limits::default())], OnError::Fail);
    let mut topics = |stream, statuses: &[&str], swap: Option<usize>| {
        if let Some(step) = swap {
            let other = if step == 0 { stamp() } else { transform("healthy", &ROUTE, Limits::default()) };
            chain.swap(&mut [(step, other)]).unwrap();
        }
        let all: Vec<Option<&str>> = statuses.iter().map(|s| Some(*s)).collect();
        let said = records(&run(&mut chain, batch(stream, &all)).unwrap());
        assert!(said.iter().all(|r| r.value.contains(r#""stamp":"first""#)));
        said.into_iter().map(|r| r.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(&one, &["a", "b"], None), ["a", "b"]);
    // the step behind has added layouts by now, and adds more
    assert_eq!(topics(&one, &["b", "a"], Some(0)), ["b", "a"]);
    assert_eq!(topics(&two, &["c", "a"], Some(0)), ["c", "a"]);
    // new code adds its own anew
    assert_eq!(topics(&one, &["c", "b"], Some(1)), ["c", "b"]);
    assert_eq!(topics(&two, &["b", "d"], Some(0)), ["b", "d"]);
}

#[test]
fn a_grown_instance_is_replaced_between_batches() {
    let stream = stream(1, "orders");
    let pairs = [("mode", "greedy"), ("field", "status")];
    let mut bound = Bound::new(transform("healthy", &pairs, Limits::default()), &stream).unwrap();
    // each call keeps 8 MiB and counts: behind 32 MiB there is a new instance, which counts from one again
    let counts: Vec<usize> =
        (0..12).map(|_| bound.apply(&batch(&stream, &[Some("x"); 20])).unwrap().rows.unwrap().len()).collect();
    assert!(counts.iter().filter(|c| **c == 1).count() >= 3, "{counts:?}");
    assert!(counts.iter().max() < Some(&6), "{counts:?}");
}

#[test]
fn equal_shapes_have_one_number() {
    let mut bound =
        Bound::new(transform("healthy", &[("mode", "echo")], Limits::default()), &stream(1, "orders")).unwrap();
    let again = stream(2, "orders").program.then(0, bound.transform.as_mut()).unwrap();
    let other = stream(3, "users").program.then(0, bound.transform.as_mut()).unwrap();
    assert_eq!(again.calls[0].shape, bound.program.calls[0].shape);
    assert_ne!(other.calls[0].shape, bound.program.calls[0].shape);
}

#[test]
fn a_row_that_cannot_be_read_fails_alone() {
    let stream = stream(1, "orders");
    let mut bound = Bound::new(transform("healthy", &[("mode", "echo")], Limits::default()), &stream).unwrap();
    let mut cells: Vec<Option<String>> = vec![Some("1".into())];
    cells.resize(10, None);
    let mut bad = cells.clone();
    bad[5] = Some("12x".into());
    let applied = bound.apply(&batch_of(&stream, &[cells.clone(), bad, cells])).unwrap();
    assert_eq!(applied.rows, Some(vec![0, 2]));
    let (row, failure) = &applied.errors[0];
    assert_eq!((*row, &*failure.code), (1, "guest.cell"));
    assert!(failure.message.contains("`small`") && !failure.message.contains("12x"), "{}", failure.message);
}

#[test]
fn what_the_log_does_not_carry_is_its_placeholder() {
    let stream = stream(1, "orders");
    let mut cells: Vec<Option<String>> = vec![Some("1".into()), Some("<unchanged>".into())];
    cells.resize(10, None);
    let mut echo = chain(vec![transform("healthy", &[("mode", "echo")], Limits::default())], OnError::Fail);
    let said = records(&run(&mut echo, batch_of(&stream, &[cells.clone()])).unwrap());
    let want = records(&run(&mut chain(vec![], OnError::Fail), batch_of(&stream, &[cells])).unwrap());
    assert_eq!(said, want);
    assert!(said[0].value.contains("__debezium_unavailable_value"));
}

#[test]
fn values_are_told_as_connect_tells_them() {
    let stream = stream(1, "orders");
    let mut bound = Bound::new(transform("healthy", &[("mode", "echo")], Limits::default()), &stream).unwrap();
    let batch = batch(&stream, &[Some("x"); 2]);
    let applied = bound.apply(&batch).unwrap();
    let names: Vec<_> = bound.program.calls[0].binding.computes.iter().map(|c| c.ty.kind).collect();
    let at = |kind: Kind| names.iter().position(|k| *k == kind).unwrap();
    // a Date is days in the model, whatever it is in a column
    assert_eq!(applied.columns[at(Kind::Int32)].value(0), Value::Int(20454));
    assert_eq!(applied.columns[at(Kind::Float32)].value(0), Value::Float(1.1f32.into()));
    assert_eq!(applied.columns[at(Kind::Bytes)].value(1), Value::bytes([0x02, 0xBD]));
}

#[test]
fn a_module_says_what_it_is() {
    let module = module("healthy");
    let manifest = module.describe().unwrap();
    assert_eq!(manifest.summary, "does what its mode says");
    let first = &manifest.options[0];
    assert_eq!((first.name.as_str(), first.ty, first.required), ("mode", OptionType::Text, true));
    assert_eq!(first.one_of, ["echo", "filter"]);
    assert_eq!(module.check(&options(&[("x", "y")])).unwrap(), []);
    assert_eq!(support::module("hostile").check(&options(&[("x", "y")])).unwrap()[0].message, "x is strange");
}

#[test]
fn compiled_code_is_kept_and_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("wasm");
    let load = || {
        let engine = Engine::new(EngineOptions { cache_dir: Some(cache.clone()) }).unwrap();
        engine.load("healthy", &guest("healthy")).unwrap().describe().unwrap().summary
    };
    let files = || {
        let all = std::fs::read_dir(&cache).unwrap().map(|f| f.unwrap().path());
        all.map(|p| (p.clone(), std::fs::read(p).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(load(), "does what its mode says");
    let first = files();
    assert_eq!(first.len(), 1);
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(load(), "does what its mode says");
    assert_eq!(files(), first);
    // damaged: compiled again, and whole again
    let mut broken = first[0].1.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    for damaged in [&broken[..], &first[0].1[..100], b""] {
        std::fs::write(&first[0].0, damaged).unwrap();
        assert_eq!(load(), "does what its mode says");
        assert!(files()[0].1.len() == first[0].1.len());
        assert_ne!(files()[0].1, damaged);
    }
    // others could have put code there
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Engine::new(EngineOptions { cache_dir: Some(cache.clone()) }).unwrap_err();
    assert_eq!(refused.code(), "guest.cache");
}
