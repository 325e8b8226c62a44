//! PostgreSQL types as Connect schemas, and how their cells are read, as Debezium 3.6 does. `TYPES.md` shows the table of the
//! default modes.

use crate::array::{Array, StandIn};
use crate::catalogue::{ColumnInfo, TypeInfo, Types};
use crate::cell::{Element, Reading, TextCell};
use crate::default_value;
use crate::handling::{Binaries, Decimals, Handled, Handling, Times};
use crate::printed::{Print, PrintedCell};
use std::sync::Arc;
use weir_cdc::{CellLeaf, Column};
use weir_model::wire::Unit;
use weir_model::{Codec, Kind, Type, logical};

/// How a column's cells come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// the stream's text
    Text,
    /// pgoutput with `binary`
    Binary,
    /// `COPY … BINARY`, which casts to text what has no binary form
    Copy,
}

/// A type's schema and its encodings.
struct Mapped {
    ty: Type,
    text: CellLeaf,
    binary: CellLeaf,
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
pub fn column(
    info: &ColumnInfo,
    required: bool,
    types: &Types,
    handling: &Handling,
    wire: Wire,
) -> Result<Mapping, LeftOut> {
    let unknown = || LeftOut { type_name: info.type_oid.to_string(), reason: "the catalogue does not know the type" };
    let (base, modifier) = types.base(info.type_oid, info.modifier).ok_or_else(unknown)?;
    let optional = !(info.not_null || required);
    let mapping = Map { types, handling };
    let mapped = match base.element {
        0 => mapping.scalar(base, modifier),
        element => types.get(element).and_then(|e| mapping.array(e, modifier, optional)),
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
    // an array has a binary form of its own, which is of no use where its elements have none
    let has_binary = base.sends && (base.element == 0 || types.get(base.element).is_some_and(|e| e.sends));
    let (leaf, as_text) = match wire {
        Wire::Text | Wire::Binary if mapped.snapshot_only => (CellLeaf::Absent, false),
        Wire::Text => (mapped.text, false),
        Wire::Binary => (mapped.binary, false),
        Wire::Copy if has_binary => (mapped.binary, false),
        Wire::Copy => (mapped.text, true),
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

/// `io.debezium.data.geometry.…`
fn place(name: &str, coordinates: &[&str], required: bool) -> Type {
    let mut fields: Vec<_> = coordinates.iter().map(|c| ((*c).into(), Type::new(Kind::Float64))).collect();
    fields.push(("wkb".into(), Type::new(Kind::Bytes).optional(!required)));
    fields.push(("srid".into(), Type::new(Kind::Int32).optional(true)));
    let doc = if name == "Point" { "Geometry (POINT)" } else { name };
    named(Type::record(fields), &format!("io.debezium.data.geometry.{name}")).note(|n| n.doc = Some(doc.into()))
}

fn named(ty: Type, name: &str) -> Type {
    ty.note(|n| {
        n.name = Some(name.into());
        n.version = Some(1)
    })
}

/// Types as the modes want them.
struct Map<'a> {
    types: &'a Types,
    handling: &'a Handling,
}

// === impl Map ===

impl Map<'_> {
    fn array(&self, element: &TypeInfo, modifier: i32, optional: bool) -> Option<Mapped> {
        if element.kind == b'd' || NO_ARRAYS.contains(&element.name.as_str()) {
            return None;
        }
        let Mapped { ty, text, binary, .. } = self.scalar(element, modifier)?;
        if element.name == "bit" {
            // Debezium gives it the schema of one element and no value ever
            return Some(Mapped { ty, text: CellLeaf::Absent, binary: CellLeaf::Absent, snapshot_only: false });
        }
        let stand_in = match element.name.as_str() {
            "text" | "varchar" | "bpchar" | "json" | "jsonb" => StandIn::Text,
            "bytea" => StandIn::Element,
            "int4" | "int8" | "date" => StandIn::Numbers,
            "uuid" => StandIn::Uuid,
            _ if optional => StandIn::Null,
            _ => StandIn::Empty,
        };
        let array = |of: &CellLeaf, binary| {
            let decode = Array { element: Element::of(of)?, binary, stand_in };
            Some(CellLeaf::Tree(Arc::new(decode)))
        };
        let (text, binary) = (array(&text, false)?, array(&binary, true)?);
        // Debezium's schema of an enum's array takes no null elements
        let ty = Type::array(ty.optional(element.kind != b'e'));
        Some(Mapped { ty, text, binary, snapshot_only: false })
    }

    /// What is read by its text: a binary form is printed first.
    fn printed(&self, info: &TypeInfo, ty: Type, text: CellLeaf) -> Mapped {
        let binary = match Print::of(&info.name, self.types.money_digits) {
            Some(print) => PrintedCell::leaf(print, &text),
            None => text.clone(),
        };
        Mapped { ty, text, binary, snapshot_only: false }
    }

    fn scalar(&self, info: &TypeInfo, modifier: i32) -> Option<Mapped> {
        let named = |kind, name| Type::named(kind, name, 1);
        let text = |ty| Some(both(ty, Codec::Text, Codec::Text));
        let printed = |ty, codec| Some(self.printed(info, ty, CellLeaf::Codec(codec)));
        if info.kind == b'e' {
            return text(named(Kind::Text, "io.debezium.data.Enum").parameter("allowed", &info.labels.join(",")));
        }
        if !matches!(info.kind, b'b' | b'r') {
            return None;
        }
        let handled = self.decimal(info).or_else(|| self.time(info, modifier)).or_else(|| self.other(info));
        if handled.is_some() {
            return handled;
        }
        Some(match info.name.as_str() {
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
            "text" | "varchar" | "bpchar" | "citext" => return text(Type::new(Kind::Text)),
            "name" => Mapped { snapshot_only: true, ..printed(Type::new(Kind::Text), Codec::Text)? },
            "bytea" => both(Type::new(Kind::Bytes), Codec::HexText, Codec::Raw),
            "json" => return text(named(Kind::Text, "io.debezium.data.Json")),
            "jsonb" => both(named(Kind::Text, "io.debezium.data.Json"), Codec::Text, Codec::Jsonb),
            "xml" => return printed(named(Kind::Text, "io.debezium.data.Xml"), Codec::Text),
            "uuid" => both(named(Kind::Text, "io.debezium.data.Uuid"), Codec::Clean, Codec::Uuid),
            "timestamptz" => {
                let precision = if (0..=6).contains(&modifier) { modifier as u8 } else { 6 };
                let ty = named(Kind::Text, "io.debezium.time.ZonedTimestamp");
                both(ty, Codec::ZonedText { precision }, Codec::Zoned { precision })
            }
            "char" | "isbn" | "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range" | "int8range" | "numrange"
            | "tsrange" | "tstzrange" | "daterange" => return printed(Type::new(Kind::Text), Codec::Text),
            "tsvector" => return printed(named(Kind::Text, "io.debezium.data.Tsvector"), Codec::Text),
            "ltree" => return printed(named(Kind::Text, "io.debezium.data.Ltree"), Codec::Text),
            "bit" if modifier == 1 => both(Type::new(Kind::Boolean), Codec::BitText, Codec::Bit),
            "varbit" if modifier == 1 => return printed(Type::new(Kind::Boolean), Codec::BitText),
            _ => {
                let (ty, reading) = tree(info, modifier)?;
                self.printed(info, ty, TextCell::leaf(reading))
            }
        })
    }

    /// `decimal.handling.mode`, where it is not `precise`
    fn decimal(&self, info: &TypeInfo) -> Option<Mapped> {
        let (kind, handled) = match (self.handling.decimals, info.name.as_str()) {
            (Decimals::Double, "numeric") => (Kind::Float64, Handled::Double),
            (Decimals::Double, "money") => (Kind::Float64, Handled::MoneyDouble),
            (Decimals::Text, "numeric") => (Kind::Text, Handled::DecimalText),
            (Decimals::Text, "money") => (Kind::Text, Handled::MoneyText),
            _ => return None,
        };
        Some(self.printed(info, Type::new(kind), handled.leaf()))
    }

    /// `time.precision.mode`
    fn time(&self, info: &TypeInfo, modifier: i32) -> Option<Mapped> {
        let (mode, is_coarse) = (self.handling.times, matches!(modifier, 0..=3));
        let iso = |name, handled: Handled| Some(self.printed(info, Type::named(Kind::Text, name, 1), handled.leaf()));
        let of = |kind, name, unit, codecs: fn(Unit) -> (Codec, Codec)| {
            let (text, binary) = codecs(unit);
            Some(both(Type::named(kind, name, 1), text, binary))
        };
        let date = |_| (Codec::DateText, Codec::Date);
        let time = |unit| (Codec::TimeText(unit), Codec::Time(unit));
        let timestamp = |unit| (Codec::TimestampText(unit), Codec::Timestamp(unit));
        match (info.name.as_str(), mode) {
            ("date", Times::Iso) => iso("io.debezium.time.IsoDate", Handled::IsoDate),
            ("date", Times::Connect) => of(Kind::Int32, logical::DATE, Unit::Millis, date),
            ("date", _) => of(Kind::Int32, "io.debezium.time.Date", Unit::Millis, date),
            ("time", Times::Iso) => iso("io.debezium.time.IsoTime", Handled::IsoTime),
            ("time", Times::Connect) => of(Kind::Int32, logical::TIME, Unit::Millis, time),
            ("time", Times::Nanos) => of(Kind::Int64, "io.debezium.time.NanoTime", Unit::Nanos, time),
            ("time", Times::Adaptive) if is_coarse => of(Kind::Int32, "io.debezium.time.Time", Unit::Millis, time),
            ("time", _) => of(Kind::Int64, "io.debezium.time.MicroTime", Unit::Micros, time),
            ("timestamp", Times::Iso) => iso("io.debezium.time.IsoTimestamp", Handled::IsoTimestamp),
            ("timestamp", Times::Connect) => of(Kind::Int64, logical::TIMESTAMP, Unit::Millis, timestamp),
            ("timestamp", Times::Nanos) => {
                let ty = Type::named(Kind::Int64, "io.debezium.time.NanoTimestamp", 1);
                Some(self.printed(info, ty, Handled::NanoTimestamp.leaf()))
            }
            ("timestamp", Times::Adaptive | Times::AdaptiveMicros) if is_coarse => {
                of(Kind::Int64, "io.debezium.time.Timestamp", Unit::Millis, timestamp)
            }
            ("timestamp", _) => of(Kind::Int64, "io.debezium.time.MicroTimestamp", Unit::Micros, timestamp),
            _ => None,
        }
    }

    /// `binary.handling.mode`, `interval.handling.mode`, `hstore.handling.mode`, where they are not the default
    fn other(&self, info: &TypeInfo) -> Option<Mapped> {
        let handling = self.handling;
        Some(match info.name.as_str() {
            "bytea" if handling.binaries != Binaries::Bytes => {
                let binary = Handled::Raw(handling.binaries).leaf();
                let text = Handled::HexText(handling.binaries).leaf();
                Mapped { binary, ..self.printed(info, Type::new(Kind::Text), text) }
            }
            "interval" if handling.interval_text => {
                self.printed(info, Type::named(Kind::Text, "io.debezium.time.Interval", 1), Handled::Interval.leaf())
            }
            "hstore" if handling.hstore_map => {
                let ty = Type::map(Type::new(Kind::Text), Type::new(Kind::Text).optional(true));
                self.printed(info, ty, Handled::HstoreMap.leaf())
            }
            _ => return None,
        })
    }
}

fn both(ty: Type, text: Codec, binary: Codec) -> Mapped {
    let (text, binary) = (CellLeaf::Codec(text), CellLeaf::Codec(binary));
    Mapped { ty, text, binary, snapshot_only: false }
}

/// Types that only a value tree can show.
fn tree(info: &TypeInfo, modifier: i32) -> Option<(Type, Reading)> {
    let of = |kind, name| named(Type::new(kind), name);
    Some(match info.name.as_str() {
        "numeric" => {
            let fields = [("scale".into(), Type::new(Kind::Int32)), ("value".into(), Type::new(Kind::Bytes))];
            let ty = named(Type::record(fields), "io.debezium.data.VariableScaleDecimal");
            (ty.note(|n| n.doc = Some("Variable scaled decimal".into())), Reading::VariableScale)
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
