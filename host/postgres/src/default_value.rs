//! Column defaults: what `pg_get_expr` prints, as a value of the column's schema. Constants as they are; a function's value is
//! not known beforehand and becomes the type's zero, as Debezium has it.

use weir_cdc::CellLeaf;
use weir_model::{Codec, Kind, Type, Value, logical};

/// None: no default, or one that cannot be told.
pub fn parse(expression: &str, ty: &Type, leaf: &CellLeaf) -> Option<Value> {
    let is_bytea = matches!(leaf, CellLeaf::Codec(Codec::HexText)) || expression.trim_end().ends_with("::bytea");
    // a struct as default is one that no JsonConverter writes ("Mismatching schema.")
    if is_bytea || matches!(ty.kind, Kind::Array | Kind::Map | Kind::Struct) || matches!(leaf, CellLeaf::Absent) {
        return None;
    }
    let constant = strip_casts(expression.trim());
    if constant.eq_ignore_ascii_case("null") {
        return None;
    }
    if let Some(text) = quoted(constant) {
        return of_text(&text, leaf);
    }
    match ty.kind {
        Kind::Boolean if constant == "true" || constant == "false" => Some(Value::Boolean(constant == "true")),
        _ if is_number(constant) => of_text(constant.trim_matches(['(', ')']), leaf),
        // an operation: its first operand where that is quoted, and else nothing
        _ if constant.starts_with(['(', '\'']) => of_text(&first_quoted(constant)?, leaf),
        _ if constant.contains('(') || is_keyword(constant) => zero(ty),
        _ => None,
    }
}

/// `'x'::character varying` → `'x'`; `('a'::text)` too.
fn strip_casts(mut e: &str) -> &str {
    loop {
        let before = e;
        if let Some(inner) = e.strip_prefix('(').and_then(|e| e.strip_suffix(')'))
            && inner.starts_with('\'')
            && !inner.contains(')')
        {
            e = inner
        }
        if let Some((head, cast)) = e.rsplit_once("::")
            && cast.chars().all(|c| c.is_alphanumeric() || " _\"()[],.".contains(c))
            && (head.ends_with('\'') || head.ends_with(')') || is_number(head) || head.eq_ignore_ascii_case("null"))
        {
            e = head
        }
        if e == before {
            return e;
        }
    }
}

fn quoted(e: &str) -> Option<String> {
    let inner = e.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "\u{0}");
    (!plain.contains('\'')).then(|| plain.replace('\u{0}', "'"))
}

fn is_number(e: &str) -> bool {
    let e = e.trim_matches(['(', ')']);
    !e.is_empty() && e.parse::<f64>().is_ok() && e.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
}

fn is_keyword(e: &str) -> bool {
    let e = e.to_ascii_uppercase();
    ["CURRENT_", "LOCALTIME", "SESSION_USER", "USER"].iter().any(|k| e.starts_with(k))
}

/// `('x'::text || …)` → x
fn first_quoted(e: &str) -> Option<String> {
    let inner = e.trim_start_matches('(').strip_prefix('\'')?;
    let mut out = String::new();
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.next_if_eq(&'\'').is_none() => return Some(out),
            c => out.push(c),
        }
    }
    None
}

fn of_text(text: &str, leaf: &CellLeaf) -> Option<Value> {
    match leaf {
        CellLeaf::Codec(Codec::BoolText) => Some(Value::Boolean(text == "t" || text == "true")),
        CellLeaf::Codec(codec) => codec.value(text.as_bytes()),
        CellLeaf::Tree(decode) => decode.decode(text.as_bytes()),
        CellLeaf::Absent => None,
    }
    .filter(|v| !v.is_null())
}

/// The value of a function that nobody has called.
fn zero(ty: &Type) -> Option<Value> {
    Some(match ty.kind {
        Kind::Boolean => Value::Boolean(false),
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Value::Int(0),
        Kind::Float32 | Kind::Float64 => Value::Float(0.0),
        Kind::Text => match ty.name() {
            Some("io.debezium.time.ZonedTimestamp") => Value::text("1970-01-01T00:00:00.000000Z"),
            Some("io.debezium.time.ZonedTime" | "io.debezium.time.IsoTime") => Value::text("00:00:00Z"),
            Some("io.debezium.time.IsoTimestamp") => Value::text("1970-01-01T00:00:00Z"),
            Some("io.debezium.time.IsoDate") => Value::text("1970-01-01Z"),
            Some("io.debezium.time.Interval") => Value::text("P0Y0M0DT0H0M0S"),
            Some("io.debezium.data.Uuid") => Value::text("00000000-0000-0000-0000-000000000000"),
            _ => Value::text(""),
        },
        Kind::Bytes if ty.is(logical::DECIMAL) => Value::bytes([0]),
        Kind::Bytes => Value::bytes([]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Reading, TextCell};

    #[test]
    fn constants_are_kept_and_functions_are_zero() {
        let (int, text) = (Type::new(Kind::Int32), Type::new(Kind::Text));
        let int_of = |e| parse(e, &int, &CellLeaf::Codec(Codec::IntText));
        let text_of = |e| parse(e, &text, &CellLeaf::Codec(Codec::Text));
        assert_eq!(int_of("1"), Some(Value::Int(1)));
        assert_eq!(int_of("'-7'::integer"), Some(Value::Int(-7)));
        assert_eq!(int_of("(-7)"), Some(Value::Int(-7)));
        assert_eq!(int_of("nextval('t_id_seq'::regclass)"), Some(Value::Int(0)));
        assert_eq!(text_of("'it''s'::character varying"), Some(Value::text("it's")));
        assert_eq!(text_of("NULL::character varying"), None);
        assert_eq!(text_of("lower('x'::text)"), Some(Value::text("")));
        assert_eq!(text_of("('it''s'::text || 'y'::text)"), Some(Value::text("it's")));
        assert_eq!(int_of("(1 + 1)"), None);
        let interval = TextCell::leaf(Reading::Interval);
        assert_eq!(parse("'1 day'::interval", &Type::new(Kind::Int64), &interval), Some(Value::Int(86_400_000_000)));
        let bits = TextCell::leaf(Reading::Bits);
        assert_eq!(parse("'101'::\"bit\"", &Type::new(Kind::Bytes), &bits), Some(Value::bytes([5])));
        assert_eq!(parse("'\\x0102'::bytea", &Type::new(Kind::Bytes), &CellLeaf::Codec(Codec::HexText)), None);
        let decimal = Type::decimal(2, Some(5));
        assert_eq!(
            parse("1.5", &decimal, &CellLeaf::Codec(Codec::DecimalText { scale: 2 })),
            Some(Value::bytes([0, 150]))
        );
    }
}
