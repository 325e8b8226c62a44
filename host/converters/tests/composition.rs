//! Composed layouts say what bindings say one after another. The slow side below knows nothing of layouts beyond the source's
//! own: it makes a tree of values of each row and applies every binding to it in turn; what it says, the composed program has
//! to say, byte for byte, with and without schemas, with and without the transaction cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

use bytes::Bytes;
use std::sync::Arc;
use weir_cdc::{CellLeaf, Column, Context, Envelope, KEY_CHANGED, Op, SourceBlock, Table};
use weir_converters::{Json, schema};
use weir_model::*;

// === the slow side ===

/// A part of a record: its type, whether it is null, its children or its value.
#[derive(Clone, Debug)]
struct Tree {
    ty: Type,
    null: bool,
    leaf: Value,
    kids: Vec<(Name, Tree)>,
    is_struct: bool,
}

#[derive(Clone, Debug)]
struct Rec {
    topic: String,
    key: Tree,
    value: Tree,
    timestamp: Tree,
    partition: Tree,
    headers: Vec<(Name, Tree)>,
    /// meta.position and meta.now, which no edit changes
    position: Tree,
    now: Tree,
}

fn leaf(ty: Type, v: Value) -> Tree {
    Tree { ty, null: v.is_null(), leaf: v, kids: vec![], is_struct: false }
}

fn constant(ty: &Type, v: &Value) -> Tree {
    match v {
        Value::Struct(values) => {
            let kids = ty.of.iter().zip(values.iter()).map(|(m, v)| (m.name.clone(), constant(&m.ty, v)));
            let ty_alone = Type { of: Arc::from([]), ..ty.clone() };
            Tree { kids: kids.collect(), ty: ty_alone, null: false, leaf: Value::Null, is_struct: true }
        }
        v => leaf(ty.clone(), v.clone()),
    }
}

/// The record that a layout of the source makes.
fn tree(n: &Node, b: &Batch, row: &Row, r: u32) -> Tree {
    let here = row.present & n.guard == n.guard;
    match &n.body {
        Body::Struct(fields) => {
            let kids = fields.iter().map(|(name, f)| (name.clone(), tree(f, b, row, r))).collect();
            Tree { ty: n.ty.clone(), null: !here, leaf: Value::Null, kids, is_struct: true }
        }
        Body::Leaf(_) => leaf(n.ty.clone(), n.value(b, row, r, UNAVAILABLE).expect("a good cell")),
    }
}

const UNAVAILABLE: &str = "__debezium_unavailable_value";

fn record(l: &Layout, b: &Batch, row: &Row, r: u32) -> Rec {
    let text = Type::new(Kind::Text).optional(true);
    let mut room = [0; 64];
    let position = String::from_utf8(b.meta_text(row, Meta::Sequence, &mut room).to_vec()).unwrap();
    Rec {
        topic: l.topic_name().unwrap().to_string(),
        key: tree(&l.key, b, row, r),
        value: tree(&l.value, b, row, r),
        timestamp: tree(&l.timestamp, b, row, r),
        partition: tree(&l.partition, b, row, r),
        headers: l.headers.iter().map(|(n, h)| (n.clone(), tree(h, b, row, r))).collect(),
        position: leaf(text, Value::text(position)),
        now: leaf(Type::new(Kind::Int64).optional(true), Value::Int(b.int(row, Meta::Now).unwrap())),
    }
}

/// Every part of the record, in the order of a shape's fields; parts under a null are null.
fn list(rec: &Rec) -> (Shape, Vec<Tree>) {
    let plain = |kids: Vec<(Name, Tree)>| Tree {
        ty: Type::new(Kind::Struct),
        null: false,
        leaf: Value::Null,
        kids,
        is_struct: true,
    };
    let meta = plain(vec![
        ("timestamp".into(), rec.timestamp.clone()),
        ("partition".into(), rec.partition.clone()),
        ("position".into(), rec.position.clone()),
        ("now".into(), rec.now.clone()),
    ]);
    let headers = plain(rec.headers.clone());
    let (mut fields, mut parts) = (vec![], vec![]);
    for (name, root) in [("key", &rec.key), ("value", &rec.value), ("headers", &headers), ("meta", &meta)] {
        walk(name.into(), root, None, false, &mut fields, &mut parts);
    }
    (Shape { topic: rec.topic.as_str().into(), fields }, parts)
}

fn walk(name: Name, t: &Tree, parent: Option<u32>, gone: bool, fields: &mut Vec<Field>, parts: &mut Vec<Tree>) {
    let at = fields.len() as u32;
    fields.push(Field { name, parent: parent.unwrap_or(at), ty: t.ty.clone() });
    let gone = gone || t.null;
    parts.push(Tree { null: gone, ..t.clone() });
    for (n, k) in &t.kids {
        walk(n.clone(), k, Some(at), gone, fields, parts)
    }
}

fn at<'a>(rec: &'a mut Rec, path: &[Name]) -> Option<&'a mut Tree> {
    let (mut at, rest) = match &*path[0] {
        "key" => (&mut rec.key, &path[1..]),
        "value" => (&mut rec.value, &path[1..]),
        _ => (&mut rec.headers.iter_mut().rev().find(|h| h.0 == path[1])?.1, &path[2..]),
    };
    for step in rest {
        at = &mut at.kids.iter_mut().rev().find(|k| k.0 == *step)?.1;
    }
    Some(at)
}

fn edit(mut rec: Rec, shape: &Shape, parts: &[Tree], edits: &[Edit]) -> Rec {
    let new = |s: &Source| match s {
        Source::Input(i) => parts[*i as usize].clone(),
        Source::InputOrDefault(i) => {
            let (t, parent) = (&parts[*i as usize], shape.fields[*i as usize].parent);
            let under_null = parent != *i && parts[parent as usize].null;
            match t.ty.default() {
                Some(d) if t.null && !under_null && !t.is_struct => leaf(t.ty.clone(), d.clone()),
                _ => t.clone(),
            }
        }
        Source::Constant(ty, v) => constant(ty, v),
        Source::Mask(i, ty, v) => match parts[*i as usize].null {
            true => leaf(ty.clone(), Value::Null),
            false => constant(ty, v),
        },
        Source::Computed(_) => unreachable!("nothing is computed here"),
    };
    for e in edits {
        match e {
            Edit::Topic(s) => {
                if let Value::Text(t) = &new(s).leaf {
                    rec.topic = t.to_string()
                }
            }
            Edit::Partition(s) => rec.partition = new(s),
            Edit::Timestamp(s) => rec.timestamp = new(s),
            Edit::Put(path, s) => {
                let new = new(s);
                match path.as_slice() {
                    [root] if &**root == "key" => rec.key = new,
                    [_] => rec.value = new,
                    [parent @ .., name] => {
                        let p = at(&mut rec, parent).unwrap();
                        match p.kids.iter_mut().rev().find(|k| k.0 == *name) {
                            Some(k) => k.1 = new,
                            None => p.kids.push((name.clone(), new)),
                        }
                    }
                    [] => unreachable!(),
                }
            }
            Edit::Remove(path) => {
                let name = path.last().unwrap();
                at(&mut rec, &path[..path.len() - 1]).unwrap().kids.retain(|k| k.0 != *name)
            }
            Edit::Rename(path, to) => {
                let name = path.last().unwrap();
                let p = at(&mut rec, &path[..path.len() - 1]).unwrap();
                p.kids.iter_mut().rev().find(|k| k.0 == *name).unwrap().0 = to.clone()
            }
            Edit::Annotate(path, note) => at(&mut rec, path).unwrap().ty.note = Arc::new(note.clone()),
            Edit::Optional(path, o) => at(&mut rec, path).unwrap().ty.optional = *o,
            Edit::Header(n, s) => rec.headers.push((n.clone(), new(s))),
            Edit::RemoveHeader(n) => rec.headers.retain(|h| h.0 != *n),
        }
    }
    rec
}

/// What a transform says of a shape.
type Says = Box<dyn FnMut(&Shape) -> Binding>;

/// Runs a record down the chain.
fn run(rec: Rec, chain: &mut [Says], out: &mut Vec<Rec>) {
    let Some((first, rest)) = chain.split_first_mut() else { return out.push(rec) };
    let (shape, parts) = list(&rec);
    let binding = first(&shape);
    let holds = |t: &Test| match t {
        Test::IsNull(i) => parts[*i as usize].null,
        Test::NotNull(i) => !parts[*i as usize].null,
        Test::Compare(i, is, to) => {
            let t = &parts[*i as usize];
            !t.null && is.agrees(order(&t.leaf, to))
        }
    };
    let hit = binding.rules.iter().find(|r| r.when.iter().all(holds)).map_or(&binding.otherwise, |r| &r.then);
    let Verdict::Emit(layouts) = hit else { unreachable!("no other verdicts here") };
    for l in layouts {
        let edits = binding.layouts.get(*l as usize).map_or(&[][..], |e| e);
        run(edit(rec.clone(), &shape, &parts, edits), rest, out);
    }
}

fn full_type(t: &Tree) -> Type {
    match t.is_struct {
        true => Type { of: Type::record(t.kids.iter().map(|(n, k)| (n.clone(), full_type(k)))).of, ..t.ty.clone() },
        false => t.ty.clone(),
    }
}

fn payload(t: &Tree, json: &Json, out: &mut Buffer) -> Result<(), ()> {
    if t.null {
        // a struct's own default is never made here
        return json.null(&t.ty, out).map_err(|_| ());
    }
    if !t.is_struct {
        return json.tree(&t.ty, &t.leaf, out).map_err(|_| ());
    }
    out.push(b'{');
    for (i, (n, k)) in t.kids.iter().enumerate() {
        json.field(i == 0, n, out);
        payload(k, json, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// None: no bytes.
fn say(t: &Tree, json: &Json) -> Result<Option<String>, ()> {
    if t.ty.kind == Kind::Any && t.null && !t.is_struct {
        return Ok(None);
    }
    let mut out = Buffer::default();
    if json.schemas {
        out.put(b"{\"schema\":");
        match t.ty.schemaless {
            true => out.put(b"null"),
            false => schema(&full_type(t), None, json, &mut out).map_err(|_| ())?,
        }
        out.put(b",\"payload\":");
    }
    payload(t, json, &mut out)?;
    if json.schemas {
        out.push(b'}')
    }
    Ok(Some(String::from_utf8_lossy(&out).into_owned()))
}

type Said = Result<(String, Option<String>, Option<String>, Vec<Option<String>>), ()>;

fn say_record(rec: &Rec, json: &Json) -> Said {
    let headers = rec.headers.iter().map(|h| say(&h.1, json)).collect::<Result<_, _>>()?;
    Ok((rec.topic.clone(), say(&rec.key, json)?, say(&rec.value, json)?, headers))
}

// === the composed side ===

struct Binder<'a>(&'a mut dyn FnMut(&Shape) -> Binding);

impl Bind for Binder<'_> {
    fn bind(&mut self, shape: &Shape) -> Result<(u32, Arc<Binding>), Fault> {
        Ok((0, Arc::new((self.0)(shape))))
    }
}

struct Convert(Json, bool);

impl Converter for Convert {
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String> {
        compile(&self.0, root, layout, self.1)
    }
}

fn composed(program: &mut Program, batch: &Batch, json: &Json, cache: bool) -> Vec<(u32, Said)> {
    let c = Convert(*json, cache);
    let writers = program.layouts.iter().map(|l| Writer::compile(l, 0, &c, &c, &c));
    let mut writers: Vec<_> = writers.collect();
    let mut d = Decision::default();
    program.decide(batch, &mut d);
    let mut said = vec![];
    for p in &d.picks {
        let layout = &program.layouts[p.layout as usize];
        let mut out = Out::default();
        let Ok(writer) = &mut writers[p.layout as usize] else {
            said.push((p.row, Err(())));
            continue;
        };
        if writer.write(batch, p.row, &mut out).is_err() {
            assert!(out.data.is_empty() && out.header_ends.is_empty(), "a failed row leaves no byte");
            said.push((p.row, Err(())));
            continue;
        }
        let r = out.records[0];
        let text = |from: u32, to: u32| String::from_utf8_lossy(&out.data[from as usize..to as usize]).into_owned();
        let mut from = r.value;
        let headers = out.header_ends.iter().enumerate().map(|(i, e)| {
            let t = text(std::mem::replace(&mut from, *e), *e);
            (r.has & Record::null_header(i) == 0).then_some(t)
        });
        let headers = headers.collect();
        let key = (r.has & Record::KEY != 0).then(|| text(r.start, r.key));
        let value = (r.has & Record::VALUE != 0).then(|| text(r.key, r.value));
        said.push((p.row, Ok((layout.topic_name().unwrap().to_string(), key, value, headers))))
    }
    said
}

// === rows ===

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }
}

fn columns() -> Vec<Column> {
    let c = |name: &str, ty: Type, codec| Column { name: name.into(), ty, leaf: CellLeaf::Codec(codec) };
    let kind = Type::new;
    vec![
        c("id", kind(Kind::Int64), Codec::IntText),
        c("qty", kind(Kind::Int32).optional(true).default_value(Value::Int(1)), Codec::IntText),
        c("title", kind(Kind::Text), Codec::Text),
        c("status", kind(Kind::Text).optional(true), Codec::Text),
        c("amount", Type::decimal(2, Some(12)).optional(true), Codec::DecimalText { scale: 2 }),
        c("ratio", kind(Kind::Float64).optional(true), Codec::FloatText),
        c("active", kind(Kind::Boolean).optional(true), Codec::BoolText),
        c("payload", Type::named(Kind::Text, "io.debezium.data.Json", 1).optional(true), Codec::Text),
    ]
}

fn source() -> Program {
    let table = Table {
        topic: "dbz.public.orders".into(),
        columns: columns().into_iter().enumerate().map(|(i, c)| (i as u16, c)).collect(),
        key: vec![0],
    };
    let fields = vec![
        SourceBlock::text("connector", "test"),
        SourceBlock::meta("ts_ms", Kind::Int64, false, Meta::SourceMs),
        SourceBlock::snapshot_field(Op::Change),
        SourceBlock::meta("sequence", Kind::Text, true, Meta::Sequence),
        SourceBlock::meta("txId", Kind::Int64, true, Meta::Transaction),
        SourceBlock::meta("lsn", Kind::Int64, true, Meta::Position),
    ];
    let source = SourceBlock { name: "test.Source", fields };
    Envelope::new(Some(Context::new("dbz", "test"))).program(&table, &source, Op::Change)
}

fn batch(program: &Program, rows: u32, seed: u64) -> Batch {
    let stream = Stream { id: 1, name: "public.orders".into(), width: 8, program: program.clone() };
    let mut b = Batch::new(stream.into(), Bytes::new(), 1_767_225_600_123_456_789);
    let (mut dice, mut wire) = (Dice(seed | 1), vec![]);
    for r in 0..rows {
        if r % 5 == 0 {
            let (id, commit_us) = (700 + r as u64, 1_767_000_000_000_000 + r as i64 * 1000);
            b.transactions.push(Transaction { id, commit_us, last_commit: r as u64 * 10 });
        }
        let mut tuple = |cells: &mut Vec<Cell>, dice: &mut Dice| {
            let start = cells.len() as u32;
            for c in 0..8 {
                let n = dice.below(1000);
                let text = match c {
                    0 => Some((1000 + r).to_string()),
                    1 => Some(n.to_string()).filter(|_| n % 4 > 0),
                    2 => Some(format!("Blue \"cotton\" ü no {n}\n")),
                    3 => Some(["new", "paid", "sent"][n as usize % 3].to_string()).filter(|_| n % 7 > 0),
                    4 => Some(format!("-{n}.{:02}", n % 100)).filter(|_| n % 5 > 0),
                    5 => Some(["1e+20", "12", "-1.5e-07", "0.25"][n as usize % 4].to_string()).filter(|_| n % 6 > 0),
                    6 => Some(if n % 2 == 0 { "t" } else { "f" }.to_string()).filter(|_| n % 6 > 0),
                    _ if n % 3 == 0 => {
                        cells.push(Cell::UNCHANGED);
                        continue;
                    }
                    _ => Some(format!("{{\"a\": {n}}}")).filter(|_| n % 5 > 0),
                };
                match text {
                    None => cells.push(Cell::NULL),
                    Some(t) => {
                        cells.push(Cell { at: wire.len() as u32, len: t.len() as u32 });
                        wire.extend_from_slice(t.as_bytes())
                    }
                }
            }
            start
        };
        let transaction = b.transactions.len() as u32 - 1;
        let mut row = Row { position: 5000 + r as u64, transaction, ..Row::default() };
        (row.op, row.present) = match dice.below(12) {
            0..5 => (b'c', AFTER),
            5..7 => (b'u', AFTER),
            7..9 => (b'u', BEFORE | AFTER),
            9 => (KEY_CHANGED, BEFORE | AFTER),
            10 => (b't', 0),
            _ => (b'd', BEFORE),
        };
        if row.present & BEFORE != 0 {
            row.before = tuple(&mut b.cells, &mut dice)
        }
        if row.present & AFTER != 0 {
            row.after = tuple(&mut b.cells, &mut dice)
        }
        b.rows.push(row);
    }
    b.wire = wire.into();
    b
}

/// A binding made up from a seed: edits on fields that exist, rules on leaves. The same for the same shape.
fn random(seed: u64) -> Says {
    Box::new(move |shape| {
        let mut d = Dice((seed ^ (shape.fields.len() as u64).wrapping_mul(0x9e37_79b9)).max(1));
        (0..20).for_each(|_| {
            d.below(2);
        });
        let n = shape.fields.len() as u64;
        let path = |mut i: u32| {
            let mut p = vec![shape.fields[i as usize].name.clone()];
            while shape.fields[i as usize].parent != i {
                i = shape.fields[i as usize].parent;
                p.insert(0, shape.fields[i as usize].name.clone())
            }
            p
        };
        let in_record = |p: &Path| &*p[0] == "key" || &*p[0] == "value";
        let structs: Vec<u32> = (0..n as u32)
            .filter(|i| shape.fields[*i as usize].ty.kind == Kind::Struct && in_record(&path(*i)))
            .collect();
        let text = Type::new(Kind::Text).optional(true);
        let constants = [Value::text("x\"y"), Value::text(""), Value::Null];
        let source = |d: &mut Dice| match d.below(8) {
            0 => Source::Constant(text.clone(), constants[d.below(3) as usize].clone()),
            1 => Source::Constant(Type::named(Kind::Struct, "made", 3).optional(d.below(2) == 0), Value::record([])),
            2 => Source::Mask(d.below(n) as u32, text.clone(), Value::text("***")),
            3 | 4 => {
                let qty = shape.find(&["value", "after", "qty"]).or(shape.find(&["value", "qty"]));
                Source::InputOrDefault(qty.unwrap_or(d.below(n) as u32))
            }
            _ => Source::Input(d.below(n) as u32),
        };
        let layout = |d: &mut Dice| {
            let one = |(k, d): (u64, &mut Dice)| {
                let parent = structs.get(d.below(structs.len() as u64) as usize).map(|s| path(*s));
                let field = path(d.below(n) as u32);
                let inner = field.len() > 1 && in_record(&field);
                let note = Annotation { name: Some("noted".into()), ..Default::default() };
                match (d.below(13), parent) {
                    (0, _) => Edit::Put(vec!["value".into()], source(d)),
                    (1, _) => Edit::Put(vec!["key".into()], source(d)),
                    (2, _) => Edit::Topic(Source::Constant(text.clone(), Value::text(format!("t{k}")))),
                    (3, _) if inner => Edit::Remove(field),
                    (4, _) if inner => Edit::Rename(field, format!("renamed{k}").as_str().into()),
                    (5, _) if inner => Edit::Optional(field, d.below(3) > 0),
                    (6, _) if inner => Edit::Annotate(field, note),
                    (7, _) => Edit::Header("h".into(), source(d)),
                    (8, _) => Edit::RemoveHeader("h".into()),
                    (9, _) => Edit::Timestamp(Source::Constant(Type::new(Kind::Int64).optional(true), Value::Int(5))),
                    (_, Some(mut p)) => {
                        p.push(format!("put{}", d.below(3)).as_str().into());
                        Edit::Put(p, source(d))
                    }
                    _ => Edit::RemoveHeader("none".into()),
                }
            };
            (0..d.below(5)).map(|k| one((k, &mut *d))).collect::<Vec<_>>()
        };
        let test = |d: &mut Dice| {
            let f = d.below(n) as u32;
            use Comparison::*;
            let is = [Eq, Ne, Lt, Le, Gt, Ge][d.below(6) as usize];
            match (d.below(4), shape.fields[f as usize].ty.kind) {
                (0, _) => Test::IsNull(f),
                (1, _) | (_, Kind::Struct | Kind::Bytes) => Test::NotNull(f),
                (_, Kind::Text | Kind::Any) => {
                    Test::Compare(f, is, Value::text(["u", "d", "paid", "new", "x\"y"][d.below(5) as usize]))
                }
                (_, Kind::Float64) => Test::Compare(f, is, Value::Float(12.0)),
                (_, Kind::Boolean) => Test::Compare(f, is, Value::Boolean(true)),
                _ => Test::Compare(f, is, Value::Int([-7, 1, 500, 1_010][d.below(4) as usize])),
            }
        };
        let layouts: Vec<_> = (0..1 + d.below(3)).map(|_| layout(&mut d)).collect();
        let emit =
            |d: &mut Dice| Verdict::Emit((0..d.below(3)).map(|_| d.below(layouts.len() as u64) as u32).collect());
        let rules = (0..d.below(4)).map(|_| Rule {
            name: "made up".into(),
            when: (0..d.below(3)).map(|_| test(&mut d)).collect(),
            then: emit(&mut d),
        });
        let rules = rules.collect();
        Binding { layouts, rules, ..Binding::default() }
    })
}

/// (records, how many of them failed), or None where the chain does not bind.
fn same(seeds: &[u64], rows: &Batch, source: &Program) -> Option<(usize, usize)> {
    let mut program = source.clone();
    for (i, s) in seeds.iter().enumerate() {
        program = program.then(i as u16, &mut Binder(&mut *random(*s))).ok()?;
    }
    let mut chain: Vec<_> = seeds.iter().map(|s| random(*s)).collect();
    let mut wanted: Vec<(u32, Rec)> = vec![];
    for (r, row) in rows.rows.iter().enumerate() {
        let mut d = Decision::default();
        source.fate.walk(rows, row, r as u32, r as u32, &mut d);
        for p in d.picks {
            let mut out = vec![];
            run(record(&source.layouts[p.layout as usize], rows, row, r as u32), &mut chain, &mut out);
            wanted.extend(out.into_iter().map(|rec| (r as u32, rec)))
        }
    }
    let mut failed = 0;
    for (schemas, cache) in [(false, false), (false, true), (true, true)] {
        let json = Json { schemas, ..Json::default() };
        let said = composed(&mut program, rows, &json, cache);
        let want: Vec<_> = wanted.iter().map(|(r, rec)| (*r, say_record(rec, &json))).collect();
        failed = want.iter().filter(|w| w.1.is_err()).count();
        for (i, (a, b)) in said.iter().zip(&want).enumerate() {
            assert_eq!(a, b, "chain {seeds:?}, schemas {schemas}, record {i}")
        }
        assert_eq!(said.len(), want.len(), "chain {seeds:?}");
    }
    Some((wanted.len(), failed))
}

#[test]
fn a_source_says_what_its_trees_say() {
    let source = source();
    let (records, failed) = same(&[], &batch(&source, 500, 11), &source).unwrap();
    assert!(records > 500 && failed == 0, "{records} records, {failed} failed");
}

#[test]
fn composed_chains_say_what_their_steps_say_one_after_another() {
    let source = source();
    // more with WEIR_CHAINS=20000
    let chains = std::env::var("WEIR_CHAINS").ok().and_then(|n| n.parse().ok()).unwrap_or(400u64);
    let (mut bound, mut records, mut failed) = (0, 0, 0);
    for seed in 0..chains {
        let rows = batch(&source, 40, seed * 2 + 1);
        let seeds: Vec<u64> = (0..1 + seed % 4).map(|i| seed * 8 + i + 1).collect();
        let Some((n, f)) = same(&seeds, &rows, &source) else { continue };
        (bound, records, failed) = (bound + 1, records + n, failed + f);
    }
    println!("{bound} of {chains} chains bound; {records} records the same, {failed} of them failed on both sides");
    assert!(bound > chains / 4 && records > chains as usize * 10 && failed > 0);
}
