//! PostgreSQL types as Connect schemas, and how their cells are read: Debezium 3.6's defaults. `TYPES.md` shows the table.

use crate::array::{Array, StandIn};
use crate::catalogue::{ColumnInfo, TypeInfo, Types};
use crate::cell::{Element, Reading, TextCell};
use crate::default_value;
use std::sync::Arc;
use weir_cdc::{CellLeaf, Column};
use weir_model::wire::Unit;
use weir_model::{Codec, Kind, Type};

/// How cells come: the stream sends text, `COPY … BINARY` and pgoutput with `binary` send binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    Text,
    Binary,
}

/// A type's schema and its two encodings.
struct Mapped {
    ty: Type,
    text: CellLeaf,
    /// None: has no binary form that we read, so a COPY casts it to text
    binary: Option<CellLeaf>,
    /// the stream does not carry it, as Debezium's does not
    snapshot_only: bool,
}

/// A column as it is captured.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub column: Column,
    /// a COPY has to cast it: `::text`
    pub as_text: bool,
}

/// Why a column has no place in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// the type's name; the oid where the catalogue does not know it
    pub type_name: String,
    pub reason: &'static str,
}

/// Err: Debezium leaves columns of this type out.
pub fn column(info: &ColumnInfo, required: bool, types: &Types, wire: Wire) -> Result<Mapping, LeftOut> {
    let unknown = || LeftOut { type_name: info.type_oid.to_string(), reason: "the catalogue does not know the type" };
    let (base, modifier) = types.base(info.type_oid, info.modifier).ok_or_else(unknown)?;
    let optional = !(info.not_null || required);
    let mapped = match base.element {
        0 => map(base, modifier),
        element => types.get(element).and_then(|e| array(e, modifier, optional)),
    };
    let Some(mapped) = mapped else {
        return Err(LeftOut { type_name: base.name.clone(), reason: reason(base) });
    };
    let mut ty = mapped.ty.optional(optional);
    if !info.identity
        && !info.generated
        && let Some(e) = &info.default
        && let Some(value) = default_value::parse(e, &ty, &mapped.text)
    {
        ty = ty.default_value(value);
    }
    let (leaf, as_text) = match (wire, mapped.binary) {
        (Wire::Text, _) if mapped.snapshot_only => (CellLeaf::Absent, false),
        (Wire::Text, _) => (mapped.text, false),
        (Wire::Binary, Some(binary)) => (binary, false),
        (Wire::Binary, None) => (mapped.text, true),
    };
    Ok(Mapping { column: Column { name: info.name.as_str().into(), ty, leaf }, as_text })
}

fn reason(base: &TypeInfo) -> &'static str {
    match base.kind {
        b'c' => "composite types have no schema",
        b'm' => "multiranges have no schema",
        _ if base.element != 0 => "arrays of this type have no schema",
        _ => "the type has no schema",
    }
}

/// Base types whose arrays are left out, although columns of the type itself are not.
const NO_ARRAYS: [&str; 8] = ["money", "name", "interval", "varbit", "xml", "point", "tsvector", "char"];

fn array(element: &TypeInfo, modifier: i32, optional: bool) -> Option<Mapped> {
    if element.kind == b'd' || NO_ARRAYS.contains(&element.name.as_str()) {
        return None;
    }
    let Mapped { ty, text, .. } = map(element, modifier)?;
    if element.name == "bit" {
        // Debezium gives it the schema of one element and no value ever
        return Some(Mapped { ty, text: CellLeaf::Absent, binary: Some(CellLeaf::Absent), snapshot_only: false });
    }
    let stand_in = match element.name.as_str() {
        "text" | "varchar" | "bpchar" | "json" | "jsonb" => StandIn::Text,
        "bytea" => StandIn::Bytes,
        "int4" | "int8" | "date" => StandIn::Numbers,
        "uuid" => StandIn::Uuid,
        _ if optional => StandIn::Null,
        _ => StandIn::Empty,
    };
    let decode = Array { element: Element::of(&text)?, stand_in };
    let ty = Type::array(ty.optional(true));
    Some(Mapped { ty, text: CellLeaf::Tree(Arc::new(decode)), binary: None, snapshot_only: false })
}

/// `io.debezium.data.geometry.…`
fn place(name: &str, coordinates: &[&str], required: bool) -> Type {
    let mut fields: Vec<_> = coordinates.iter().map(|c| ((*c).into(), Type::new(Kind::Float64))).collect();
    fields.push(("wkb".into(), Type::new(Kind::Bytes).optional(!required)));
    fields.push(("srid".into(), Type::new(Kind::Int32).optional(true)));
    named(Type::record(fields), &format!("io.debezium.data.geometry.{name}"))
}

fn named(ty: Type, name: &str) -> Type {
    ty.note(|n| {
        n.name = Some(name.into());
        n.version = Some(1)
    })
}

/// Types that only a value tree can show.
fn tree(info: &TypeInfo, modifier: i32) -> Option<(Type, Reading)> {
    let of = |kind, name| named(Type::new(kind), name);
    Some(match info.name.as_str() {
        "numeric" => {
            let fields = [("scale".into(), Type::new(Kind::Int32)), ("value".into(), Type::new(Kind::Bytes))];
            (named(Type::record(fields), "io.debezium.data.VariableScaleDecimal"), Reading::VariableScale)
        }
        "bit" | "varbit" => {
            let length = if modifier < 0 { i32::MAX } else { modifier };
            (of(Kind::Bytes, "io.debezium.data.Bits").parameter("length", &length.to_string()), Reading::Bits)
        }
        "interval" => (of(Kind::Int64, "io.debezium.time.MicroDuration"), Reading::Interval),
        "timetz" => (of(Kind::Text, "io.debezium.time.ZonedTime"), Reading::ZonedTime),
        "money" => (Type::decimal(2, None), Reading::Money),
        "point" => (place("Point", &["x", "y"], false), Reading::Point),
        "geometry" => (place("Geometry", &[], true), Reading::Geometry),
        "geography" => (place("Geography", &[], true), Reading::Geometry),
        "hstore" => (of(Kind::Text, "io.debezium.data.Json"), Reading::Hstore),
        "vector" => (named(Type::array(Type::new(Kind::Float64)), "io.debezium.data.DoubleVector"), Reading::Vector),
        "halfvec" => (named(Type::array(Type::new(Kind::Float32)), "io.debezium.data.FloatVector"), Reading::Vector),
        _ => return None,
    })
}

fn map(info: &TypeInfo, modifier: i32) -> Option<Mapped> {
    let both = |ty, text: Codec, binary: Codec| {
        Some(Mapped { ty, text: CellLeaf::Codec(text), binary: Some(CellLeaf::Codec(binary)), snapshot_only: false })
    };
    let text = |ty| both(ty, Codec::Text, Codec::Text);
    let cast = |ty, codec: Codec| Some(Mapped { ty, text: CellLeaf::Codec(codec), binary: None, snapshot_only: false });
    let named = |kind, name| Type::named(kind, name, 1);
    if info.kind == b'e' {
        return text(named(Kind::Text, "io.debezium.data.Enum").parameter("allowed", &info.labels.join(",")));
    }
    if !matches!(info.kind, b'b' | b'r') {
        return None;
    }
    match info.name.as_str() {
        "bool" => both(Type::new(Kind::Boolean), Codec::BoolText, Codec::Bool),
        "int2" => both(Type::new(Kind::Int16), Codec::IntText, Codec::Int16),
        "int4" => both(Type::new(Kind::Int32), Codec::IntText, Codec::Int32),
        "int8" => both(Type::new(Kind::Int64), Codec::IntText, Codec::Int64),
        "oid" => both(Type::new(Kind::Int64), Codec::IntText, Codec::Uint32),
        "float4" => both(Type::new(Kind::Float32), Codec::FloatText, Codec::Float32),
        "float8" => both(Type::new(Kind::Float64), Codec::FloatText, Codec::Float64),
        "numeric" if modifier >= 4 => {
            let (precision, scale) = ((modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF);
            let scale = scale as i16;
            let ty = Type::decimal(scale as i32, Some(precision as u32));
            both(ty, Codec::DecimalText { scale }, Codec::Decimal { scale })
        }
        "text" | "varchar" | "bpchar" | "citext" => text(Type::new(Kind::Text)),
        "name" => cast(Type::new(Kind::Text), Codec::Text).map(|m| Mapped { snapshot_only: true, ..m }),
        "char" | "isbn" => cast(Type::new(Kind::Text), Codec::Text),
        "bytea" => both(Type::new(Kind::Bytes), Codec::HexText, Codec::Raw),
        "json" => text(named(Kind::Text, "io.debezium.data.Json")),
        "jsonb" => both(named(Kind::Text, "io.debezium.data.Json"), Codec::Text, Codec::Jsonb),
        "xml" => cast(named(Kind::Text, "io.debezium.data.Xml"), Codec::Text),
        "uuid" => both(named(Kind::Text, "io.debezium.data.Uuid"), Codec::Clean, Codec::Uuid),
        "date" => both(named(Kind::Int32, "io.debezium.time.Date"), Codec::DateText, Codec::Date),
        "time" => match modifier {
            0..=3 => both(
                named(Kind::Int32, "io.debezium.time.Time"),
                Codec::TimeText(Unit::Millis),
                Codec::Time(Unit::Millis),
            ),
            _ => both(
                named(Kind::Int64, "io.debezium.time.MicroTime"),
                Codec::TimeText(Unit::Micros),
                Codec::Time(Unit::Micros),
            ),
        },
        "timestamp" => match modifier {
            0..=3 => {
                let ty = named(Kind::Int64, "io.debezium.time.Timestamp");
                both(ty, Codec::TimestampText(Unit::Millis), Codec::Timestamp(Unit::Millis))
            }
            _ => {
                let ty = named(Kind::Int64, "io.debezium.time.MicroTimestamp");
                both(ty, Codec::TimestampText(Unit::Micros), Codec::Timestamp(Unit::Micros))
            }
        },
        "timestamptz" => {
            let precision = if (0..=6).contains(&modifier) { modifier as u8 } else { 6 };
            let ty = named(Kind::Text, "io.debezium.time.ZonedTimestamp");
            both(ty, Codec::ZonedText { precision }, Codec::Zoned { precision })
        }
        "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange"
        | "daterange" => cast(Type::new(Kind::Text), Codec::Text),
        "tsvector" => cast(named(Kind::Text, "io.debezium.data.Tsvector"), Codec::Text),
        "ltree" => cast(named(Kind::Text, "io.debezium.data.Ltree"), Codec::Text),
        "bit" if modifier == 1 => both(Type::new(Kind::Boolean), Codec::BitText, Codec::Bit),
        "varbit" if modifier == 1 => cast(Type::new(Kind::Boolean), Codec::BitText),
        _ => {
            let (ty, reading) = tree(info, modifier)?;
            Some(Mapped { ty, text: TextCell::leaf(reading), binary: None, snapshot_only: false })
        }
    }
}
