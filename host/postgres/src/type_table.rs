//! PostgreSQL types as Connect schemas, and how their cells are read: Debezium 3.6's defaults. `TYPES.md` shows the table.

use crate::catalogue::{ColumnInfo, TypeInfo, Types};
use crate::default_value;
use weir_cdc::{CellLeaf, Column};
use weir_model::wire::Unit;
use weir_model::{Codec, Kind, Type};

/// How cells come: the stream sends text, `COPY … BINARY` and pgoutput with `binary` send binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    Text,
    Binary,
}

/// A type's schema and its two encodings. `copied_as_text`: has no binary form that we read, so a COPY casts it.
struct Mapped {
    ty: Type,
    text: CellLeaf,
    binary: Option<CellLeaf>,
}

/// A column as it is captured.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub column: Column,
    /// a COPY has to cast it: `::text`
    pub as_text: bool,
}

/// None: Debezium leaves columns of this type out.
pub fn column(info: &ColumnInfo, required: bool, types: &Types, wire: Wire) -> Option<Mapping> {
    let (base, modifier) = types.base(info.type_oid, info.modifier)?;
    let Mapped { ty, text, binary } = map(base, modifier)?;
    let optional = !(info.not_null || required);
    let codec = match &text {
        CellLeaf::Codec(codec) => Some(*codec),
        _ => None,
    };
    let mut ty = ty.optional(optional);
    if !info.identity
        && !info.generated
        && let Some(e) = &info.default
        && let Some(value) = default_value::parse(e, &ty, codec)
    {
        ty = ty.default_value(value);
    }
    let (leaf, as_text) = match (wire, binary) {
        (Wire::Text, _) => (text, false),
        (Wire::Binary, Some(binary)) => (binary, false),
        (Wire::Binary, None) => (text, true),
    };
    Some(Mapping { column: Column { name: info.name.as_str().into(), ty, leaf }, as_text })
}

fn map(info: &TypeInfo, modifier: i32) -> Option<Mapped> {
    let both = |ty, text: Codec, binary: Codec| {
        Some(Mapped { ty, text: CellLeaf::Codec(text), binary: Some(CellLeaf::Codec(binary)) })
    };
    let text = |ty| both(ty, Codec::Text, Codec::Text);
    let cast = |ty, codec: Codec| Some(Mapped { ty, text: CellLeaf::Codec(codec), binary: None });
    let named = |kind, name| Type::named(kind, name, 1);
    if info.kind == b'e' {
        return text(named(Kind::Text, "io.debezium.data.Enum").parameter("allowed", &info.labels.join(",")));
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
        "char" | "name" => cast(Type::new(Kind::Text), Codec::Text),
        "bytea" => both(Type::new(Kind::Bytes), Codec::HexText, Codec::Raw),
        "json" => text(named(Kind::Text, "io.debezium.data.Json")),
        "jsonb" => both(named(Kind::Text, "io.debezium.data.Json"), Codec::Text, Codec::Jsonb),
        "xml" => cast(named(Kind::Text, "io.debezium.data.Xml"), Codec::Text),
        "uuid" => both(named(Kind::Text, "io.debezium.data.Uuid"), Codec::Clean, Codec::Uuid),
        "date" => both(named(Kind::Int32, "io.debezium.time.Date"), Codec::DateText, Codec::Date),
        "time" => match modifier {
            0..=3 => both(named(Kind::Int32, "io.debezium.time.Time"), Codec::TimeText(Unit::Millis), Codec::Time(Unit::Millis)),
            _ => both(named(Kind::Int64, "io.debezium.time.MicroTime"), Codec::TimeText(Unit::Micros), Codec::Time(Unit::Micros)),
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
        _ => None,
    }
}
