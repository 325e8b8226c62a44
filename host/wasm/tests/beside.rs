//! Hostile guests beside a healthy pipeline: each ends as the table says, and the healthy one has all its records, in order
//! (invariant 7).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are no tests to the lints

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::*;
use weir_api::{Block, BlockId, Error, Offset, Settings, Sink, Transform};
use weir_model::Name;
use weir_runtime::{
    Chain, Converters, Counters, DeadLetters, OffsetStore, OnError, Reports, Saver, Step, Stop, Task, TaskOptions,
};
use weir_wasm::{Engine, Limits};

/// A guest that means harm.
struct Hostile {
    /// the option `mode` of `tests/guests/hostile`, or a module of its own in [`module_text`]
    name: &'static str,
    does: &'static str,
    /// the code that people see; "": it harms nobody, and its rows go on
    code: &'static str,
}

const fn hostile(name: &'static str, does: &'static str, code: &'static str) -> Hostile {
    Hostile { name, does, code }
}

const HOSTILE: &[Hostile] = &[
    hostile("raw-no-module", "is no WebAssembly", "guest.format"),
    hostile("raw-cut", "ends in the middle", "guest.format"),
    hostile("raw-wasi", "imports what is not in the world", "guest.imports"),
    hostile("raw-bare", "exports nothing", "guest.world"),
    hostile("raw-start-loop", "loops in its start function", "guest.timeout"),
    hostile("raw-start-trap", "traps in its start function", "guest.trap"),
    hostile("raw-memory", "begins with more memory than it may have", "guest.memory"),
    hostile("raw-table", "begins with more table elements than it may have", "guest.table"),
    hostile("raw-table-grow", "grows its table until it gets no more", "guest.table"),
    hostile("raw-describe-loop", "loops in `describe`", "guest.timeout"),
    hostile("raw-check-loop", "loops in `check`", "guest.timeout"),
    hostile("raw-describe-trap", "traps in `describe`", "guest.trap"),
    hostile("raw-describe-outside", "says a manifest that lies outside its memory", "guest.output"),
    hostile("raw-apply-outside", "hands back what lies outside its memory", "guest.output"),
    hostile("raw-realloc", "gives the host no memory for what it is told", "guest.output"),
    hostile("configure-refuse", "refuses its options", "guest.configure"),
    hostile("configure-trap", "traps in `configure`", "guest.trap"),
    hostile("configure-loop", "loops in `configure`", "guest.timeout"),
    hostile("configure-memory", "takes all memory in `configure`", "guest.memory"),
    hostile("bind-refuse", "refuses every shape", "org.example.Refused"),
    hostile("bind-trap", "traps in `bind`", "transform.binding"),
    hostile("bind-loop", "loops in `bind`", "transform.binding"),
    hostile("bind-memory", "takes all memory in `bind`", "transform.binding"),
    hostile("bind-huge", "says 40 MiB of edits", "transform.binding"),
    hostile("lie-field", "reads a field that is not there", "transform.binding"),
    hostile("lie-path", "puts a field under one that is not there", "transform.binding"),
    hostile("lie-native", "reads a struct as a column", "transform.binding"),
    hostile("lie-constant", "puts a value that its type cannot hold", "transform.binding"),
    hostile("lie-layout", "chooses a layout that it did not declare", "transform.binding"),
    hostile("added-again", "adds 3000 times for each batch what it has added", ""),
    hostile("topic-by-row", "names a topic for each row", "chain.unwritable"),
    hostile("trap", "traps for a row", "guest.trap"),
    hostile("divide", "panics for a row", "guest.trap"),
    hostile("loop", "loops for a row", "guest.timeout"),
    hostile("memory", "takes all memory for a row", "guest.memory"),
    hostile("stack", "recurses on its own stack", "guest.trap"),
    hostile("deep", "recurses on the machine's stack", "guest.trap"),
    hostile("refuse", "refuses the whole batch", "org.example.Refused"),
    hostile("ordered", "is stateful, and traps", "guest.trap"),
    hostile("short", "hands back fewer values than rows", "guest.output"),
    hostile("long", "hands back more values than rows", "guest.output"),
    hostile("valid", "hands back more marks of validity than rows", "guest.output"),
    hostile("ends-descend", "hands back texts that end before they begin", "guest.output"),
    hostile("ends-outside", "hands back texts that end behind their data", "guest.output"),
    hostile("utf8", "hands back text that is no UTF-8", "guest.output"),
    hostile("codes", "hands back codes of no word", "guest.output"),
    hostile("wrong-kind", "hands back numbers for text", "guest.output"),
    hostile("no-column", "hands back no column", "guest.output"),
    hostile("rows-range", "hands back rows that it was not given", "guest.output"),
    hostile("rows-descend", "hands back rows in another order", "guest.output"),
    hostile("layout-range", "chooses a layout that the shape does not have", "guest.output"),
    hostile("error-range", "fails a row that it was not given", "guest.output"),
    hostile("added-many", "adds layouts without end", "guest.output"),
    hostile("huge", "hands back 20 MiB of edits", "guest.output"),
    hostile("huge-text", "hands back a text of 20 MiB", "guest.output"),
    hostile("huge-word", "hands back one word of 1 MiB for every row", "guest.output"),
    hostile("huge-list", "hands back a list of five million layouts", "guest.output"),
    hostile("huge-error", "fails a row in eight million letters", "guest.output"),
    hostile("leak", "forgets 10 MiB for each batch", ""),
    hostile("fill", "takes all memory, and goes on", ""),
    hostile("log-flood", "writes 5000 log lines for a batch", ""),
    hostile("log-trap", "writes 100 log lines and traps, and so in each new instance", "guest.trap"),
    hostile("log-huge", "writes a log line of 20 MiB", ""),
];

/// Little time for guests that loop; so much for the others that a busy machine never takes it from them.
fn limits(name: &str) -> Limits {
    let time = if name.contains("loop") { Duration::from_millis(100) } else { Duration::from_secs(60) };
    let lifted = if name.starts_with("huge") { 4 << 20 } else { Limits::default().lifted };
    Limits { time_per_batch: time, lifted, ..Limits::default() }
}

// === modules that no compiler makes ===

/// A guest by hand: every function hands back zeros, which are an empty manifest, no problem, a binding that asks for every row, an
/// output without columns. `with` adds to it; `function` has this body instead.
fn module_text(with: &str, function: &str, body: &str) -> String {
    let of = |name: &str, or: &str| if name == function { body.to_owned() } else { or.to_owned() };
    let (describe, configure) = (of("describe", "i32.const 1024"), of("configure", "i32.const 1024"));
    let check = of("check", "i32.const 1024");
    let (apply, realloc) = (of("apply", "i32.const 1024"), of("realloc", "i32.const 8192"));
    let memory = of("memory", "1");
    format!(
        r#"(module
            (memory (export "memory") {memory})
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "weir:transform/transform@1.0.0#describe") (result i32) {describe})
            (func (export "weir:transform/transform@1.0.0#check") (param i32 i32) (result i32) {check})
            (func (export "weir:transform/transform@1.0.0#configure") (param i32 i32) (result i32) {configure})
            (func (export "weir:transform/transform@1.0.0#bind") (param i32 i32 i32 i32 i32) (result i32) i32.const 2048)
            (func (export "weir:transform/transform@1.0.0#unbind") (param i32))
            (func (export "weir:transform/transform@1.0.0#apply") (param i32 i32 i32 i32) (result i32) {apply})
            (data (i32.const 2084) "\02")
            {with})"#
    )
}

const LOOP: &str = "(loop $again (br $again)) unreachable";

fn raw(name: &str) -> Vec<u8> {
    let text = match name {
        "raw-no-module" => return b"#!/bin/sh\nexit 0\n".to_vec(),
        "raw-cut" => return guest("hostile")[..5000].to_vec(),
        "raw-wasi" => module_text("", "", "").replacen(
            "(module",
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
            1,
        ),
        "raw-bare" => return wat::parse_str("(module)").unwrap(),
        "raw-start-loop" => module_text(&format!("(func $start {LOOP}) (start $start)"), "", ""),
        "raw-start-trap" => module_text("(func $start unreachable) (start $start)", "", ""),
        "raw-memory" => module_text("", "memory", "2000"),
        "raw-table" => module_text("(table 1000000 funcref)", "", ""),
        "raw-table-grow" => {
            let grow =
                "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))";
            module_text("(table $t 1 funcref)", "configure", &format!("{grow} unreachable"))
        }
        "raw-describe-loop" => module_text("", "describe", LOOP),
        "raw-check-loop" => module_text("", "check", LOOP),
        "raw-describe-trap" => module_text("", "describe", "unreachable"),
        "raw-describe-outside" => module_text("", "describe", "i32.const 0x7ffffff0"),
        "raw-apply-outside" => module_text("", "apply", "i32.const 0x7ffffff0"),
        "raw-realloc" => module_text("", "realloc", "i32.const -16"),
        other => panic!("no module {other}"),
    };
    with_types(wat::parse_str(text).unwrap())
}

/// The section that says which world a core module was built for, taken from a guest that was.
fn with_types(mut module: Vec<u8>) -> Vec<u8> {
    let of = guest("hostile");
    let all = wasmparser::Parser::new(0).parse_all(&of).map(Result::unwrap);
    for payload in all {
        if let wasmparser::Payload::CustomSection(section) = payload
            && section.name().starts_with("component-type")
        {
            let mut body = vec![];
            leb(&mut body, section.name().len());
            body.extend_from_slice(section.name().as_bytes());
            body.extend_from_slice(section.data());
            module.push(0);
            leb(&mut module, body.len());
            module.extend(body);
        }
    }
    module
}

fn leb(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8)
}

// === what they do ===

const ROWS: [Option<&str>; 6] = [Some("a"), Some("bb"), Some("poison"), Some("c"), None, Some("ddd")];

fn letters(transform: Box<dyn Transform>) -> Chain {
    let json = Arc::new(weir_converters::JsonConverter(Default::default()));
    let on_error = OnError::DeadLetter;
    let converters =
        Converters { key: json.clone(), value: json, header: Arc::new(weir_converters::SimpleHeader), on_error };
    let steps = vec![Step { name: "step".into(), transform, on_error }];
    Chain::new(steps, converters, 1 << 20).reporting(Reports {
        pipeline: "hostile".into(),
        notation: Arc::new(weir_converters::letter::write),
        log: false,
        log_records: false,
        dead_letters: Some(DeadLetters { topic: Some("dead".into()), connect_headers: false }),
    })
}

/// Loads it and sends rows through, one of them poison. The codes of all that went wrong.
fn provoke(engine: &Engine, name: &'static str) -> BTreeSet<String> {
    let codes = |e: Error| BTreeSet::from([e.code().to_string()]);
    let bytes = if name.starts_with("raw-") { raw(name) } else { guest("hostile") };
    let module = match engine.load(name, &bytes) {
        Ok(module) => module,
        Err(e) => return codes(e),
    };
    if let Err(e) = module.describe().and_then(|_| module.check(&options(&[("mode", name)]))) {
        return codes(e);
    }
    let transform = match module.transform("step", &options(&[("mode", name)]), limits(name)) {
        Ok(transform) => transform,
        Err(e) => return codes(e),
    };
    let (mut chain, mut found) = (letters(transform), BTreeSet::new());
    // more than once: what is spoilt is replaced
    for _ in 0..2 {
        let blocks = match run(&mut chain, batch(&stream(1, "orders"), &ROWS)) {
            Ok(blocks) => blocks,
            Err(e) => return codes(e),
        };
        let failed: u64 = blocks.dead_letters.values().sum();
        assert_eq!(blocks.records + failed, ROWS.len() as u64, "{name}: each row is a record or a letter");
        found.extend(blocks.dead_letters.keys().map(|(_, code): &(Name, Name)| code.to_string()));
        let used = chain.usage().first().map_or(0, |u| u.1.memory);
        assert!(used <= Limits::default().memory as u64, "{name}: {used} bytes");
    }
    found
}

// === the healthy one ===

#[derive(Clone, Default)]
struct Kept {
    got: Arc<Mutex<Vec<String>>>,
    done: Vec<BlockId>,
}

impl Sink for Kept {
    fn deliver(&mut self, block: &Arc<Block>, _: usize) -> Result<usize, Error> {
        let text = |b: Option<&[u8]>| String::from_utf8_lossy(b.unwrap_or_default()).into_owned();
        let mut got = self.got.lock().unwrap();
        for r in &block.records {
            let value: serde_json::Value = serde_json::from_str(&text(block.value(r))).unwrap_or_default();
            got.push(format!("{} {} {} {}", text(block.key(r)), value["op"], value["after"], value["stamp"]));
        }
        self.done.push(block.id);
        Ok(block.records.len())
    }
    fn poll(&mut self, _: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        done.append(&mut self.done);
        Ok(())
    }
    fn flush(&mut self, _: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        done.append(&mut self.done);
        Ok(())
    }
}

struct NoStore;

impl OffsetStore for NoStore {
    fn load(&self, _: &Offset) -> Result<Option<Offset>, Error> {
        Ok(None)
    }
    fn save(&mut self, _: &Offset, _: &Offset) -> Result<(), Error> {
        Ok(())
    }
}

/// A thousand changes of a shop through a guest into memory; the records.
fn healthy(engine: &Engine) -> Vec<String> {
    static MODULE: Mutex<Option<weir_wasm::Module>> = Mutex::new(None);
    let module = MODULE.lock().unwrap().get_or_insert_with(|| engine.load("stamp", &guest("stamp")).unwrap()).clone();
    let limits = Limits { time_per_batch: Duration::from_secs(60), ..Limits::default() };
    let sink = Kept::default();
    let kept = sink.clone();
    let settings = Settings::new([("rate", "0"), ("rows", "1000")]);
    let task = Task {
        name: "healthy".into(),
        source: weir_generator::open(&settings, "healthy").unwrap(),
        chain: chain(vec![module.transform("stamp", &[], limits).unwrap()], OnError::Fail),
        sink: Box::new(move || Ok(Box::new(kept.clone()))),
        dead_letters: None,
        store: Saver::new(NoStore),
        options: TaskOptions::default(),
        counters: Arc::new(Counters::default()),
    };
    task.run(&Stop::default()).unwrap();
    let got = sink.got.lock().unwrap();
    got.clone()
}

#[test]
fn nobody_is_harmed_by_a_hostile_guest_beside() {
    let engine = engine();
    let alone = healthy(&engine);
    assert!(alone.len() > 1000 && alone.iter().filter(|r| r.ends_with("\"first\"")).count() > 900);
    let mut wrong = vec![];
    for Hostile { name, does, code } in HOSTILE {
        let (over, runs) = (AtomicBool::new(false), Mutex::new(0));
        let found = std::thread::scope(|scope| {
            let beside = scope.spawn(|| {
                while !over.load(Relaxed) || *runs.lock().unwrap() == 0 {
                    assert!(healthy(&engine) == alone, "the healthy pipeline, beside `{name}`");
                    *runs.lock().unwrap() += 1;
                }
            });
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| provoke(&engine, name)));
            over.store(true, Relaxed);
            beside.join().unwrap();
            found.unwrap()
        });
        let wanted = if code.is_empty() { BTreeSet::new() } else { BTreeSet::from([code.to_string()]) };
        if found != wanted {
            wrong.push(format!("`{name}`, which {does}: {found:?}, and not {code:?}"))
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let names: BTreeSet<&str> = HOSTILE.iter().map(|h| h.name).collect();
    assert_eq!(names.len(), HOSTILE.len(), "each once");
}

#[test]
fn a_guest_that_leaks_is_begun_anew() {
    let transform = transform("hostile", &[("mode", "leak")], limits("leak"));
    let mut chain = letters(transform);
    let mut most = 0;
    for n in 1..=40 {
        let blocks = run(&mut chain, batch(&stream(1, "orders"), &ROWS)).unwrap();
        assert_eq!((blocks.records, blocks.dead_letters.len()), (ROWS.len() as u64, 0), "batch {n}");
        most = most.max(chain.usage()[0].1.memory);
    }
    let (_, usage) = &chain.usage()[0];
    // 10 MiB for each batch, and the watermark at 32
    assert!((8..=20).contains(&usage.recycled), "{usage:?}");
    assert!(most > 10 << 20 && most <= 64 << 20, "{most}");
    // one that does not leak keeps its instance
    let calm = module("stamp").transform("step", &[], limits("")).unwrap();
    let mut chain = letters(calm);
    (0..40).for_each(|_| drop(run(&mut chain, batch(&stream(1, "orders"), &ROWS)).unwrap()));
    assert_eq!(chain.usage()[0].1.recycled, 0);
}

/// Counts lines that guests log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
        of.target() == "weir::guest"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_guest_that_traps_floods_no_log_with_each_new_instance() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        // so few a second that a slow machine does not matter
        let limits = Limits { log_rate: 1, ..limits("log-trap") };
        let mut chain = letters(transform("hostile", &[("mode", "log-trap")], limits));
        for _ in 0..20 {
            let blocks = run(&mut chain, batch(&stream(1, "orders"), &ROWS)).unwrap();
            assert_eq!(blocks.dead_letters.values().sum::<u64>(), 1);
        }
    });
    // 20 batches, four instances each, a hundred lines: ten at once, and one a second
    let written = lines.0.load(Relaxed);
    assert!((10..200).contains(&written), "{written}");
}
