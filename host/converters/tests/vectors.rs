//! What the Java converters answered, asked of ours: `tests/vectors/*.jsonl`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

use serde_json::Value as Json_;
use std::path::Path;
use weir_converters::{ByteArray, JavaString, Json, JsonConverter, SimpleHeader};
use weir_model::{
    Batch, Buffer, Converter, Kind, Layout, Leaf, Node, Program, Row, Scratch, Stream, Type, Value, logical,
};

/// Cases that our model cannot hold, each with its reason; everything else must be the same.
const LEFT_OUT: &[(&str, &str)] = &[
    ("$raw", "a Java object that its own schema does not allow"),
    ("$java", "a class that Connect has no type for"),
    ("$bigint", "a class that Connect has no type for"),
    ("$date", "java.util.Date without a schema"),
    ("$decimal", "BigDecimal without a schema"),
    ("$struct", "a struct inside a schemaless value"),
];

/// The order of a Java HashMap with keys of several classes.
const HASH_ORDER: &[&str] = &["JsonConverter-215"];

fn kind(name: &str) -> Kind {
    match name {
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "boolean" => Kind::Boolean,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array,
        "map" => Kind::Map,
        "struct" => Kind::Struct,
        other => panic!("type {other}"),
    }
}

fn ty(s: &Json_) -> Type {
    if s.is_null() {
        return Type { schemaless: true, ..Type::new(Kind::Any).optional(true) };
    }
    let text = |k: &str| s[k].as_str();
    let mut t = match kind(text("type").unwrap()) {
        Kind::Array => Type::array(ty(&s["items"])),
        Kind::Map => Type::map(ty(&s["keys"]), ty(&s["values"])),
        Kind::Struct => {
            let fields = s["fields"].as_array().unwrap().iter();
            Type::record(fields.map(|f| (f["field"].as_str().unwrap().into(), ty(f))))
        }
        k => Type::new(k),
    };
    t = t.optional(s["optional"].as_bool().unwrap_or(false)).note(|n| {
        n.name = text("name").map(Into::into);
        n.version = s["version"].as_i64().map(|v| v as i32);
        n.doc = text("doc").map(Into::into);
        if let Some(p) = s["parameters"].as_object() {
            n.parameters = p.iter().map(|(k, v)| (k.as_str().into(), v.as_str().unwrap().into())).collect()
        }
    });
    match s.get("default") {
        None | Some(Json_::Null) => t,
        Some(d) => {
            let d = value(&t, d).expect("a default");
            t.default_value(d)
        }
    }
}

/// None: a decimal whose scale is not its schema's.
fn value(t: &Type, v: &Json_) -> Option<Value> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    if v.is_null() {
        return Some(Value::Null);
    }
    Some(match t.kind {
        Kind::Boolean => Value::Boolean(v.as_bool()?),
        Kind::Int32 if t.is(logical::DATE) => Value::Int(v.as_i64()?.div_euclid(86_400_000)),
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Value::Int(v.as_i64()?),
        Kind::Float32 | Kind::Float64 => Value::Float(match v.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            Some("-0.0") => -0.0,
            _ => v.as_f64()?,
        }),
        Kind::Text => Value::text(v.as_str()?),
        Kind::Bytes if t.is(logical::DECIMAL) => decimal(t, v.as_str()?)?,
        Kind::Bytes => Value::bytes(STANDARD.decode(v.as_str()?).ok()?),
        Kind::Array => Value::list(v.as_array()?.iter().map(|i| value(&t.of[0].ty, i)).collect::<Option<Vec<_>>>()?),
        Kind::Map => {
            let (kt, vt) = (&t.of[0].ty, &t.of[1].ty);
            let pairs: Option<Vec<_>> = match v {
                Json_::Object(m) => m.iter().map(|(k, v)| Some((Value::text(k), value(vt, v)?))).collect(),
                list => list.as_array()?.iter().map(|p| Some((value(kt, &p[0])?, value(vt, &p[1])?))).collect(),
            };
            Value::Map(pairs?.into())
        }
        Kind::Struct => Value::record(t.of.iter().map(|m| value(&m.ty, &v[&*m.name])).collect::<Option<Vec<_>>>()?),
        Kind::Any => any(v)?,
    })
}

fn any(v: &Json_) -> Option<Value> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    Some(match v {
        Json_::Null => Value::Null,
        Json_::Bool(b) => Value::Boolean(*b),
        Json_::Number(n) => n.as_i64().map(Value::Int).or(n.as_f64().map(Value::Float))?,
        Json_::String(s) => Value::text(s),
        Json_::Array(a) => Value::list(a.iter().map(any).collect::<Option<Vec<_>>>()?),
        Json_::Object(m) => match m.iter().next() {
            Some((k, v)) if k == "$int8" || k == "$int16" || k == "$int32" => Value::Int(v.as_i64()?),
            Some((k, v)) if k == "$float32" || k == "$float64" => match v.as_str() {
                Some("NaN") => Value::Float(f64::NAN),
                Some("Infinity") => Value::Float(f64::INFINITY),
                Some("-Infinity") => Value::Float(f64::NEG_INFINITY),
                Some("-0.0") => Value::Float(-0.0),
                _ => Value::Float(v.as_f64()?),
            },
            Some((k, v)) if k == "$bytes" || k == "$bytebuffer" => Value::bytes(STANDARD.decode(v.as_str()?).ok()?),
            Some((k, v)) if k == "$map" => {
                let pairs = v.as_array()?.iter().map(|p| Some((any(&p[0])?, any(&p[1])?)));
                Value::Map(pairs.collect::<Option<Vec<_>>>()?.into())
            }
            _ => Value::Map(m.iter().map(|(k, v)| Some((Value::text(k), any(v)?))).collect::<Option<Vec<_>>>()?.into()),
        },
    })
}

fn decimal(t: &Type, text: &str) -> Option<Value> {
    let scale: i64 = t.get_parameter("scale")?.parse().ok()?;
    let (digits, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
    let own = digits.split_once('.').map_or(0, |(_, p)| p.len() as i64) - exponent.parse::<i64>().ok()?;
    if own != scale {
        return None;
    }
    let n: i128 = digits.replace('.', "").parse().ok()?;
    let mut scratch = Scratch::default();
    Some(Value::bytes(weir_model::wire::decimal::shortest(n, &mut scratch)?))
}

/// A record whose value is one constant, through a converter.
fn convert(converter: &dyn Converter, ty: Type, value: Value) -> Result<Option<Vec<u8>>, String> {
    let root = Node::leaf(ty, Leaf::Constant(value));
    let layout = Layout {
        topic: Node::text("t"),
        key: Node::nothing(),
        value: root.clone(),
        timestamp: Node::nothing(),
        partition: Node::nothing(),
        headers: vec![],
        set: 0,
        unset: 0,
        unavailable: "".into(),
    };
    let stream = Stream { id: 1, name: "t".into(), width: 0, program: Program::default() };
    let mut batch = Batch::new(stream.into(), Default::default(), 0);
    batch.rows.push(Row::default());
    let Some(mut part) = converter.compile(&root, &layout)? else { return Ok(None) };
    let mut out = Buffer::default();
    let has = part.write(&batch, 0, &mut Scratch::default(), &mut out).map_err(|_| "row".to_string())?;
    Ok(has.then(|| out.to_vec()))
}

fn config(case: &Json_, key: &str) -> Option<String> {
    case["config"][key].as_str().map(str::to_lowercase)
}

fn converter(case: &Json_) -> Box<dyn Converter> {
    match case["class"].as_str().unwrap().rsplit('.').next().unwrap() {
        "JsonConverter" => Box::new(JsonConverter(Json {
            schemas: config(case, "schemas.enable").is_none_or(|v| v == "true"),
            numeric: config(case, "decimal.format").is_some_and(|v| v == "numeric"),
            defaults: config(case, "replace.null.with.default").is_none_or(|v| v == "true"),
        })),
        "StringConverter" => Box::new(JavaString),
        "ByteArrayConverter" => Box::new(ByteArray),
        "SimpleHeaderConverter" => Box::new(SimpleHeader),
        other => panic!("converter {other}"),
    }
}

/// Members of maps stand in no order that anyone may rely on: compared as JSON values where the bytes differ.
fn same(ours: &[u8], theirs: &str, has_map: bool) -> bool {
    ours == theirs.as_bytes()
        || (has_map && serde_json::from_slice::<Json_>(ours).ok() == serde_json::from_str::<Json_>(theirs).ok())
}

fn run(name: &str, least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    let (mut passed, mut left_out, mut wrong) = (0, 0, vec![]);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: Json_ = serde_json::from_str(line).unwrap();
        let input = &case["input"];
        let text = input.to_string();
        if LEFT_OUT.iter().any(|(mark, _)| text.contains(&format!("\"{mark}\""))) || input.get("java_null").is_some() {
            left_out += 1;
            continue;
        }
        let expect = &case["expect"];
        // options are the configuration's to check; encodings other than UTF-8 are refused there
        let is_config = expect.get("configure_error").is_some() || config(&case, "converter.encoding").is_some();
        if is_config || HASH_ORDER.contains(&case["id"].as_str().unwrap()) {
            left_out += 1;
            continue;
        }
        let t = ty(&input["schema"]);
        let Some(v) = value(&t, &input["payload"]) else {
            // what cannot even be said in our model must be what the original refuses
            if expect.get("error").is_some() {
                passed += 1
            } else {
                left_out += 1
            }
            continue;
        };
        let said = convert(converter(&case).as_ref(), t, v);
        let ok = match (&said, expect) {
            (Err(_), e) => e.get("error").is_some(),
            (Ok(None), e) => e.get("bytes").is_some_and(Json_::is_null),
            (Ok(Some(b)), e) => match e["utf8"].as_str() {
                Some(want) => same(b, want, text.contains("\"map\"") || input["schema"].is_null()),
                None => {
                    use base64::{Engine, engine::general_purpose::STANDARD};
                    e["base64"].as_str().is_some_and(|w| STANDARD.decode(w).unwrap() == *b)
                }
            },
        };
        if ok {
            passed += 1
        } else {
            let said = said.map(|b| b.map(|b| String::from_utf8_lossy(&b).into_owned()));
            wrong.push(format!("{} {}: {said:?}\n    want {expect}", case["id"], case["note"]));
        }
    }
    println!("{name}: {passed} passed, {left_out} left out");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(passed >= least, "{passed} cases, and there were {least} once");
}

#[test]
fn json() {
    run("JsonConverter.jsonl", 138);
}

#[test]
fn string() {
    run("StringConverter.jsonl", 10);
}

#[test]
fn bytes() {
    run("ByteArrayConverter.jsonl", 3);
}

#[test]
fn headers() {
    run("SimpleHeaderConverter.jsonl", 1);
}
