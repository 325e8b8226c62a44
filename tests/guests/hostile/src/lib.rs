//! A guest that breaks its contract in the way that its option `mode` names. What it does to batches it does only when a row's
//! `status` is "poison" (or the option `word`), so that tests see the other rows pass and the next batch work.

wit_bindgen::generate!({ path: "../../../wit", world: "transformer", generate_all });

use exports::weir::transform::transform::Guest;
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use weir::transform::host::{Level, log};
use weir::transform::types::*;

thread_local!(static MODE: RefCell<String> = const { RefCell::new(String::new()) });
thread_local!(static WORD: RefCell<String> = const { RefCell::new(String::new()) });

thread_local!(static BINDS: Cell<u32> = const { Cell::new(0) });

struct Hostile;

fn mode() -> String {
    MODE.with(|m| m.borrow().clone())
}

fn forever() {
    let mut n = 0u64;
    while black_box(true) {
        n = black_box(n.wrapping_add(1));
    }
}

/// Takes all the memory that there is.
fn bomb() {
    let mut all: Vec<Vec<u8>> = vec![];
    loop {
        all.push(black_box(vec![1; 1 << 20]));
    }
}

/// Takes all the memory that there is, and goes on as if nothing were.
fn fill() {
    while core::arch::wasm32::memory_grow(0, 16) != usize::MAX {}
}

/// Takes memory, and forgets that it did.
fn leak(bytes: usize) {
    std::mem::forget(black_box(vec![1u8; bytes]))
}

#[allow(unconditional_recursion)]
fn overflow(n: u64) -> u64 {
    let room = black_box([n; 64]);
    overflow(n + 1) + room[n as usize % 64]
}

/// As `overflow`, but on the machine's stack.
#[allow(unconditional_recursion)]
#[inline(never)]
fn deep(n: u64) -> u64 {
    let [a, b, c, d, e, f] = [1, 2, 3, 4, 5, 6].map(|k| n.rotate_left(k));
    let deeper = deep(n + 1);
    deeper ^ a ^ b.wrapping_mul(deeper) ^ c ^ d ^ e ^ f ^ n
}

fn none() -> Annotation {
    Annotation { name: None, version: None, doc: None, parameters: vec![], default: None }
}

fn of(kind: Kind) -> Vec<Field> {
    vec![Field { name: "x".into(), parent: 0, kind, optional: true, schemaless: false, annotation: none() }]
}

fn path(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|s| s.to_string()).collect()
}

/// The field at a path of names.
fn find(shape: &Shape, steps: &[&str]) -> Option<u32> {
    let all = || shape.fields.iter().enumerate();
    let root = all().position(|(i, f)| f.parent as usize == i && f.name == steps[0])?;
    let found = steps[1..]
        .iter()
        .try_fold(root, |at, step| all().position(|(i, f)| i != at && f.parent as usize == at && f.name == *step));
    found.map(|i| i as u32)
}

fn refusal(text: &str) -> Failure {
    Failure { code: "org.example.Refused".into(), message: text.into() }
}

/// Rows' texts; of a null: none.
fn texts(batch: &Batch) -> Vec<Vec<u8>> {
    let Column::Text(c) = &batch.columns[0] else { return vec![vec![]; batch.rows as usize] };
    let mut from = 0;
    c.ends
        .iter()
        .map(|end| {
            let t = c.data[from..*end as usize].to_vec();
            from = *end as usize;
            t
        })
        .collect()
}

fn blobs(rows: &[Vec<u8>]) -> Blobs {
    let (mut ends, mut data) = (vec![], vec![]);
    for r in rows {
        data.extend_from_slice(r);
        ends.push(data.len() as u32);
    }
    Blobs { valid: vec![], ends, data }
}

impl Guest for Hostile {
    fn describe() -> Manifest {
        let option = |name: &str, default: Option<&str>, doc: &str| OptionDef {
            name: name.into(),
            type_: OptionType::Text,
            required: false,
            default: default.map(str::to_owned),
            importance: Importance::High,
            width: Width::Medium,
            group: None,
            order: 0,
            label: name.into(),
            doc: doc.into(),
            one_of: vec![],
        };
        let options = vec![
            option("mode", None, "How it breaks it."),
            option("word", Some("poison"), "The `status` of the rows at which it does."),
        ];
        Manifest { summary: "breaks its contract".into(), options }
    }

    fn check(options: Vec<(String, Option<String>)>) -> Vec<Problem> {
        let unknown = |(name, _): (String, Option<String>)| Problem { message: format!("{name} is strange"), name };
        options.into_iter().filter(|o| o.0 != "mode" && o.0 != "word").map(unknown).collect()
    }

    fn configure(options: Vec<(String, Option<String>)>) -> Result<(), Failure> {
        let option = |name: &str| options.iter().find(|o| o.0 == name).and_then(|o| o.1.clone());
        let mode = option("mode").unwrap_or_default();
        WORD.with(|w| *w.borrow_mut() = option("word").unwrap_or("poison".into()));
        match mode.as_str() {
            "configure-refuse" => return Err(refusal("no such mode")),
            "configure-trap" => panic!("trap"),
            "configure-loop" => forever(),
            "configure-memory" => bomb(),
            _ => {}
        }
        MODE.with(|m| *m.borrow_mut() = mode);
        Ok(())
    }

    fn bind(shape: Shape) -> Result<Binding, Failure> {
        let Some(status) = find(&shape, &["value", "after", "status"]) else {
            // a tombstone
            let otherwise = Verdict::Emit(vec![0]);
            return Ok(Binding {
                reads: vec![],
                computes: vec![],
                layouts: vec![],
                rules: vec![],
                otherwise,
                ordered: false,
            });
        };
        let mut read = Read { field: status, as_: Repr::Native };
        let mut compute = Compute { type_: of(Kind::Text), as_: Repr::Native };
        let put = |steps: &[&str], source| Edit::Put((path(steps), source));
        let mut layout = vec![put(&["value", "after", "status"], Source::Computed(0))];
        let mut rules = vec![];
        let rule = |when, then| Rule { name: "r".into(), when, then };
        let mut ordered = false;
        let value = find(&shape, &["value"]).unwrap();
        let is_first = BINDS.replace(BINDS.get() + 1) == 0;
        match mode().as_str() {
            "bind-refuse" => return Err(refusal("not this shape")),
            "bind-trap" => panic!("trap"),
            "bind-loop" => forever(),
            "fickle" if is_first => layout = vec![put(&["value", "after", "first"], Source::Computed(0))],
            "shy" if is_first && shape.topic.contains("items") => panic!("trap"),
            "topic-by-row" => layout.push(Edit::Topic(Source::Input(status))),
            "bind-memory" => bomb(),
            "bind-huge" => {
                let name = "x".repeat(1 << 20);
                layout = (0..40).map(|_| Edit::RemoveHeader(name.clone())).collect();
            }
            "lie-field" => read.field = 9999,
            "lie-source" => layout = vec![put(&["value", "x"], Source::Input(9999))],
            "lie-path" => layout = vec![put(&["value", "nowhere", "x"], Source::Computed(0))],
            "lie-remove" => layout = vec![Edit::Remove(path(&["value", "nowhere"]))],
            "lie-empty-path" => layout = vec![Edit::Remove(vec![])],
            "lie-root" => layout = vec![put(&["meta"], Source::Input(value))],
            "lie-rename" => layout = vec![Edit::Rename((path(&["value", "after"]), "before".into()))],
            "lie-computed" => rules.push(rule(vec![], Verdict::Emit(vec![0]))),
            "lie-compute-index" => layout = vec![put(&["value", "x"], Source::Computed(7))],
            "lie-layout" => rules.push(rule(vec![], Verdict::Emit(vec![7]))),
            "lie-native" => read.field = value,
            "lie-dictionary" => {
                read = Read { field: find(&shape, &["value", "after", "id"]).unwrap(), as_: Repr::Dictionary };
            }
            "lie-native-struct" => compute.type_ = of(Kind::Struct),
            "lie-presence" => compute.as_ = Repr::Presence,
            "lie-typed" => compute.as_ = Repr::TypedJson,
            "lie-tree" => compute.type_[0].parent = 3,
            "lie-compare" => {
                let compare = Compare { field: status, is: Comparison::Eq, to: Scalar::Int(1) };
                rules.push(rule(vec![Test::Compare(compare)], Verdict::Apply))
            }
            "lie-constant" => {
                let constant = Constant { type_: of(Kind::Int8), value: Scalar::Int(1000) };
                layout = vec![put(&["value", "x"], Source::Constant(constant))]
            }
            "lie-json" => {
                let constant = Constant { type_: of(Kind::Struct), value: Scalar::Json("{\"a\":".into()) };
                layout = vec![put(&["value", "x"], Source::Constant(constant))]
            }
            "lie-default" => {
                let annotation = Annotation { default: Some(Scalar::Bytes(vec![1])), ..none() };
                layout = vec![Edit::Annotate((path(&["value", "after", "status"]), annotation))]
            }
            "lie-topic" => layout = vec![Edit::Topic(Source::Input(value))],
            "int8" => compute.type_ = of(Kind::Int8),
            "huge-word" => compute.as_ = Repr::Dictionary,
            "ordered" => ordered = true,
            _ => {}
        }
        Ok(Binding {
            reads: vec![read],
            computes: vec![compute],
            layouts: vec![layout],
            rules,
            otherwise: Verdict::Apply,
            ordered,
        })
    }

    fn unbind(_: u32) {}

    fn apply(batch: Batch) -> Result<Output, Failure> {
        let (mode, poison) = (mode(), WORD.with(|w| w.borrow().clone().into_bytes()));
        let texts = texts(&batch);
        let rows = texts.len() as u32;
        let mut out = Output { added: vec![], rows: None, layouts: vec![], columns: vec![], errors: vec![] };
        if mode == "int8" {
            let values = texts.iter().map(|t| if **t == *poison { 300 } else { t.len() as i64 }).collect();
            out.columns.push(Column::Int(Ints { valid: vec![], values }));
            return Ok(out);
        }
        if mode == "huge-word" {
            let codes = Codes { valid: vec![], codes: vec![0; rows as usize], values: vec!["x".repeat(1 << 20)] };
            out.columns.push(Column::Dictionary(codes));
            return Ok(out);
        }
        let mut column = blobs(&texts);
        let poisoned = texts.iter().any(|t| **t == *poison);
        if !poisoned {
            out.columns.push(Column::Text(column));
            return Ok(out);
        }
        match mode.as_str() {
            "trap" | "ordered" | "fickle" | "shy" => panic!("trap"),
            "log-trap" => {
                (0..100).for_each(|i| log(Level::Info, &format!("line {i}")));
                panic!("trap")
            }
            "loop" => forever(),
            "memory" => bomb(),
            "stack" => drop(black_box(overflow(0))),
            "deep" => drop(black_box(deep(black_box(0)))),
            "divide" => drop(black_box(1u32.checked_div(black_box(0)).unwrap())),
            "refuse" => return Err(refusal("not this batch")),
            "error" => {
                let at = texts.iter().position(|t| **t == *poison).unwrap() as u32;
                out.errors.push(RowError { row: at, failure: refusal("not this row") })
            }
            "error-range" => out.errors.push(RowError { row: rows, failure: refusal("row of nobody") }),
            "short" => drop(column.ends.pop()),
            "long" => column.ends.push(column.data.len() as u32),
            "valid" => column.valid = vec![1; rows as usize + 1],
            "ends-descend" => {
                // one row alone cannot descend
                column.ends.iter_mut().for_each(|e| *e = u32::MAX - *e)
            }
            "ends-outside" => column.ends.iter_mut().for_each(|e| *e += 1_000_000),
            "utf8" => column.data.iter_mut().for_each(|b| *b = 0xFF),
            "codes" => {
                let codes = Codes { valid: vec![], codes: vec![9; rows as usize], values: vec![] };
                out.columns.push(Column::Dictionary(codes));
                return Ok(out);
            }
            "wrong-kind" => {
                out.columns.push(Column::Int(Ints { valid: vec![], values: vec![1; rows as usize] }));
                return Ok(out);
            }
            "no-column" => return Ok(out),
            "rows-range" => out.rows = Some((0..rows).map(|r| r + rows).collect()),
            "rows-descend" => {
                out.rows = Some(vec![1, 0]);
                column = blobs(&[vec![], vec![]])
            }
            "layout-range" => out.layouts = vec![9; rows as usize],
            "layout-count" => out.layouts = vec![0; rows as usize + 1],
            "added-path" => out.added.push(vec![Edit::Remove(path(&["value", "nowhere"]))]),
            "added-many" => {
                out.added = (0..5000).map(|i| vec![Edit::RemoveHeader(i.to_string())]).collect();
            }
            "added-again" => out.added = vec![vec![Edit::RemoveHeader("x".into())]; 3000],
            "leak" => leak(10 << 20),
            "fill" => fill(),
            "log-huge" => log(Level::Info, &"x".repeat(20 << 20)),
            "huge-text" => column = blobs(&texts.iter().map(|_| vec![b'x'; 20 << 20]).collect::<Vec<_>>()),
            "huge-list" => out.layouts = vec![0; 5 << 20],
            "huge-error" => {
                out.errors.push(RowError { row: 0, failure: refusal(&"x".repeat(8 << 20)) });
            }
            "log-flood" => (0..5000).for_each(|i| log(Level::Info, &format!("line {i} {}", "x".repeat(5000)))),
            "huge" => {
                // four times what may be lifted, out of one piece of memory
                out.added = (0..80).map(|_| vec![Edit::RemoveHeader("x".repeat(1 << 18))]).collect();
            }
            other => panic!("no mode {other}"),
        }
        out.columns.push(Column::Text(column));
        Ok(out)
    }
}

export!(Hostile);
