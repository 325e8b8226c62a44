//! Guests that keep their contract, one for each `mode`; `field` names a column of `value.after`, `keep` a text.

wit_bindgen::generate!({ path: "../../../wit", world: "transformer", generate_all });

use exports::weir::transform::transform::Guest;
use std::cell::RefCell;
use std::collections::HashMap;
use weir::transform::host::{Level, log};
use weir::transform::types::*;

#[derive(Default)]
struct State {
    mode: String,
    field: String,
    keep: String,
    /// added layouts, by the text that they are for
    added: HashMap<Vec<u8>, u32>,
    seen: u32,
}

thread_local!(static STATE: RefCell<State> = RefCell::default());

struct Healthy;

fn path(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|s| s.to_string()).collect()
}

fn child(shape: &Shape, of: u32, name: &str) -> Option<u32> {
    let is = |(i, f): &(usize, &Field)| *i as u32 != of && f.parent == of && f.name == name;
    shape.fields.iter().enumerate().find(is).map(|(i, _)| i as u32)
}

fn root(shape: &Shape, name: &str) -> u32 {
    shape.fields.iter().enumerate().position(|(i, f)| f.parent as usize == i && f.name == name).unwrap() as u32
}

/// A field and all below it, as a type of its own.
fn subtree(shape: &Shape, at: u32) -> Vec<Field> {
    let mut numbers = HashMap::from([(at, 0u32)]);
    let mut out = vec![Field { parent: 0, ..shape.fields[at as usize].clone() }];
    for (i, f) in shape.fields.iter().enumerate().skip(at as usize + 1) {
        if let Some(parent) = numbers.get(&f.parent).copied() {
            numbers.insert(i as u32, out.len() as u32);
            out.push(Field { parent, ..f.clone() });
        }
    }
    out
}

fn binding(reads: Vec<Read>, computes: Vec<Compute>, layouts: Vec<Vec<Edit>>) -> Binding {
    let rules = vec![];
    Binding { reads, computes, layouts, rules, otherwise: Verdict::Apply, ordered: false }
}

fn identity() -> Binding {
    Binding { otherwise: Verdict::Emit(vec![0]), ..binding(vec![], vec![], vec![]) }
}

fn text(c: &Blobs, row: usize) -> &[u8] {
    let from = if row == 0 { 0 } else { c.ends[row - 1] as usize };
    &c.data[from..c.ends[row] as usize]
}

fn out(columns: Vec<Column>) -> Output {
    Output { added: vec![], rows: None, layouts: vec![], columns, errors: vec![] }
}

impl Guest for Healthy {
    fn describe() -> Manifest {
        let option = |name: &str, required, one_of: &[&str]| OptionDef {
            name: name.into(),
            type_: OptionType::Text,
            required,
            default: None,
            importance: Importance::High,
            width: Width::Medium,
            group: None,
            order: 1,
            label: name.into(),
            doc: format!("The {name}."),
            one_of: path(one_of),
        };
        let options = vec![option("mode", true, &["echo", "filter"]), option("field", false, &[])];
        Manifest { summary: "does what its mode says".into(), options }
    }

    fn check(_: Vec<(String, Option<String>)>) -> Vec<Problem> {
        vec![]
    }

    fn configure(options: Vec<(String, Option<String>)>) -> Result<(), Failure> {
        let get = |name: &str| options.iter().find(|o| o.0 == name).and_then(|o| o.1.clone()).unwrap_or_default();
        let state = State { mode: get("mode"), field: get("field"), keep: get("keep"), ..State::default() };
        log(Level::Debug, "configured");
        STATE.with(|s| *s.borrow_mut() = state);
        Ok(())
    }

    fn bind(shape: Shape) -> Result<Binding, Failure> {
        STATE.with(|s| {
            let s = s.borrow();
            let value = root(&shape, "value");
            let Some(after) = child(&shape, value, "after") else { return Ok(identity()) };
            let field = child(&shape, after, &s.field);
            let native = |field| Read { field, as_: Repr::Native };
            let put = |steps: &[&str], source| Edit::Put((path(steps), source));
            Ok(match s.mode.as_str() {
                "filter" | "drop-odd" => binding(vec![native(field.unwrap())], vec![], vec![]),
                "dictionary" => {
                    let (f, name) = (field.unwrap(), s.field.as_str());
                    let read = Read { field: f, as_: Repr::Dictionary };
                    let compute = Compute { type_: subtree(&shape, f), as_: Repr::Dictionary };
                    binding(vec![read], vec![compute], vec![vec![put(&["value", "after", name], Source::Computed(0))]])
                }
                "presence" => {
                    let read = Read { field: child(&shape, value, "before").unwrap(), as_: Repr::Presence };
                    let mut flag = subtree(&shape, child(&shape, value, "op").unwrap());
                    flag[0].kind = Kind::Boolean;
                    let compute = Compute { type_: flag, as_: Repr::Native };
                    binding(vec![read], vec![compute], vec![vec![Edit::Header(("before".into(), Source::Computed(0)))]])
                }
                "echo" | "upper" => {
                    let fields =
                        shape.fields.iter().enumerate().filter(|(i, f)| f.parent == after && *i as u32 != after);
                    let fields: Vec<_> = fields
                        .filter(|(_, f)| !matches!(f.kind, Kind::Array | Kind::Map | Kind::Struct | Kind::Any))
                        .collect();
                    let computes =
                        fields.iter().map(|(i, _)| Compute { type_: subtree(&shape, *i as u32), as_: Repr::Native });
                    let edits = fields
                        .iter()
                        .enumerate()
                        .map(|(n, (_, f))| put(&["value", "after", &f.name], Source::Computed(n as u32)));
                    binding(
                        fields.iter().map(|(i, _)| native(*i as u32)).collect(),
                        computes.collect(),
                        vec![edits.collect()],
                    )
                }
                "json" => {
                    let read = Read { field: value, as_: Repr::Json };
                    let compute = Compute { type_: subtree(&shape, value), as_: Repr::Json };
                    binding(vec![read], vec![compute], vec![vec![put(&["value"], Source::Computed(0))]])
                }
                "typed" => {
                    let read = Read { field: after, as_: Repr::TypedJson };
                    let annotation =
                        Annotation { name: None, version: None, doc: None, parameters: vec![], default: None };
                    let any = Field {
                        name: "x".into(),
                        parent: 0,
                        kind: Kind::Any,
                        optional: true,
                        schemaless: true,
                        annotation,
                    };
                    let compute = Compute { type_: vec![any], as_: Repr::TypedJson };
                    binding(vec![read], vec![compute], vec![vec![put(&["value"], Source::Computed(0))]])
                }
                "fan" => binding(
                    vec![native(field.unwrap())],
                    vec![Compute { type_: subtree(&shape, field.unwrap()), as_: Repr::Native }],
                    vec![vec![], vec![Edit::Header(("copy".into(), Source::Computed(0)))]],
                ),
                "route" => binding(vec![native(field.unwrap())], vec![], vec![]),
                "greedy" => binding(vec![native(field.unwrap())], vec![], vec![]),
                mode => return Err(Failure { code: "org.example.Mode".into(), message: format!("no mode {mode}") }),
            })
        })
    }

    fn unbind(_: u32) {}

    fn apply(batch: Batch) -> Result<Output, Failure> {
        STATE.with(|s| {
            let s = &mut *s.borrow_mut();
            let rows = batch.rows as usize;
            let mut columns = batch.columns;
            Ok(match s.mode.as_str() {
                "filter" => {
                    let keep = s.keep.as_bytes();
                    let kept = match &columns[0] {
                        Column::Text(c) => (0..rows).filter(|r| text(c, *r) == keep).map(|r| r as u32).collect(),
                        _ => vec![],
                    };
                    Output { rows: Some(kept), ..out(vec![]) }
                }
                "drop-odd" => Output { rows: Some((0..rows as u32).filter(|r| r % 2 == 0).collect()), ..out(vec![]) },
                "upper" => {
                    for c in &mut columns {
                        if let Column::Text(c) = c {
                            c.data.make_ascii_uppercase()
                        }
                    }
                    out(columns)
                }
                "fan" => {
                    let twice: Vec<u32> = (0..rows as u32).flat_map(|r| [r, r]).collect();
                    let Column::Text(c) = &columns[0] else { panic!() };
                    let (mut ends, mut data) = (vec![], vec![]);
                    for (i, r) in twice.iter().enumerate() {
                        data.extend_from_slice(text(c, *r as usize));
                        data.push(b'0' + (i % 2) as u8);
                        ends.push(data.len() as u32);
                    }
                    let column = Column::Text(Blobs { valid: vec![], ends, data });
                    let layouts = (0..twice.len() as u32).map(|i| i % 2).collect();
                    Output { rows: Some(twice), layouts, ..out(vec![column]) }
                }
                "route" => {
                    let Column::Text(c) = &columns[0] else { panic!() };
                    let (mut added, mut layouts) = (vec![], vec![]);
                    for r in 0..rows {
                        let t = text(c, r);
                        assert!(t != b"poison");
                        let next = s.added.len() as u32 + 1;
                        let layout = *s.added.entry(t.to_vec()).or_insert_with(|| {
                            let annotation =
                                Annotation { name: None, version: None, doc: None, parameters: vec![], default: None };
                            let root = Field {
                                name: "t".into(),
                                parent: 0,
                                kind: Kind::Text,
                                optional: false,
                                schemaless: false,
                                annotation,
                            };
                            let value = Scalar::Text(String::from_utf8_lossy(t).into_owned());
                            added.push(vec![Edit::Topic(Source::Constant(Constant { type_: vec![root], value }))]);
                            next
                        });
                        layouts.push(layout);
                    }
                    Output { added, layouts, ..out(vec![]) }
                }
                "greedy" => {
                    // forgets to give back what it takes, and drops rows by the number of batches that this instance saw
                    std::mem::forget(std::hint::black_box(vec![1u8; 8 << 20]));
                    s.seen += 1;
                    Output { rows: Some((0..rows as u32).take(s.seen as usize).collect()), ..out(vec![]) }
                }
                _ => out(columns),
            })
        })
    }
}

export!(Healthy);
