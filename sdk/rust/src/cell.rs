//! One cell of a row, as a Rust type.

use crate::{Column, Field, Kind, Repr};

/// A cell that a row asks for.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// names from the root down
    pub path: &'static [&'static str],
    pub repr: Repr,
    /// the record may lack it
    pub optional: bool,
    /// the Rust type, for messages
    pub wanted: &'static str,
    /// whether a field can be read as this type
    pub fits: fn(&Field) -> bool,
}

/// Where a cell comes from in the batches of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    Column(usize),
    /// the shape lacks it
    Missing,
}

/// A type that a cell can be read as. The bytes stay where the host put them.
pub trait FromCell<'a>: Sized {
    const OPTIONAL: bool = false;
    const WANTED: &'static str;
    fn fits(field: &Field) -> bool;
    /// `None`: the cell is null, or not of this type.
    fn from_cell(column: &'a Column, row: usize) -> Option<Self>;
    /// What stands for a cell that is null, or that the shape lacks.
    fn null() -> Option<Self> {
        None
    }
}

// === impl Column ===

impl Column {
    /// Whether the cell holds a value.
    pub fn is_valid(&self, row: usize) -> bool {
        let valid = match self {
            Column::Null => return false,
            Column::Boolean(c) => &c.valid,
            Column::Int(c) => &c.valid,
            Column::Float(c) => &c.valid,
            Column::Text(c) | Column::Bytes(c) => &c.valid,
            Column::Dictionary(c) => &c.valid,
        };
        valid.is_empty() || valid.get(row).is_some_and(|v| *v != 0)
    }

    pub fn boolean(&self, row: usize) -> Option<bool> {
        match self {
            Column::Boolean(c) if self.is_valid(row) => c.values.get(row).map(|v| *v != 0),
            _ => None,
        }
    }

    pub fn int(&self, row: usize) -> Option<i64> {
        match self {
            Column::Int(c) if self.is_valid(row) => c.values.get(row).copied(),
            _ => None,
        }
    }

    pub fn float(&self, row: usize) -> Option<f64> {
        match self {
            Column::Float(c) if self.is_valid(row) => c.values.get(row).copied(),
            _ => None,
        }
    }

    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Column::Text(c) if self.is_valid(row) => std::str::from_utf8(c.get(row)?).ok(),
            Column::Dictionary(c) if self.is_valid(row) => {
                c.values.get(*c.codes.get(row)? as usize).map(String::as_str)
            }
            _ => None,
        }
    }

    pub fn bytes(&self, row: usize) -> Option<&[u8]> {
        match self {
            Column::Bytes(c) if self.is_valid(row) => c.get(row),
            _ => None,
        }
    }
}

// === impl Blobs ===

impl crate::wit::Blobs {
    fn get(&self, row: usize) -> Option<&[u8]> {
        let start = match row.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.data.get(start..*self.ends.get(row)? as usize)
    }
}

// === impl FromCell ===

impl<'a, T: FromCell<'a>> FromCell<'a> for Option<T> {
    const OPTIONAL: bool = true;
    const WANTED: &'static str = T::WANTED;
    fn fits(field: &Field) -> bool {
        T::fits(field)
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        T::from_cell(column, row).map(Some)
    }
    fn null() -> Option<Self> {
        Some(None)
    }
}

impl<'a> FromCell<'a> for &'a str {
    const WANTED: &'static str = "text";
    fn fits(field: &Field) -> bool {
        field.kind == Kind::Text || field.is_logical("Decimal")
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        column.text(row)
    }
}

impl<'a> FromCell<'a> for &'a [u8] {
    const WANTED: &'static str = "bytes";
    fn fits(field: &Field) -> bool {
        field.kind == Kind::Bytes && !field.is_logical("Decimal")
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        column.bytes(row)
    }
}

impl<'a> FromCell<'a> for bool {
    const WANTED: &'static str = "boolean";
    fn fits(field: &Field) -> bool {
        field.kind == Kind::Boolean
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        column.boolean(row)
    }
}

macro_rules! int_cells {
    ($($type:ty: $wanted:literal, $($kind:ident)|+;)+) => {$(
        impl<'a> FromCell<'a> for $type {
            const WANTED: &'static str = $wanted;
            fn fits(field: &Field) -> bool {
                matches!(field.kind, $(Kind::$kind)|+)
            }
            fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
                column.int(row).and_then(|v| v.try_into().ok())
            }
        }
    )+};
}

int_cells! {
    i8: "int8", Int8;
    i16: "int16", Int8 | Int16;
    i32: "int32", Int8 | Int16 | Int32;
    i64: "int64", Int8 | Int16 | Int32 | Int64;
}

impl<'a> FromCell<'a> for f32 {
    const WANTED: &'static str = "float32";
    fn fits(field: &Field) -> bool {
        field.kind == Kind::Float32
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        column.float(row).map(|v| v as f32)
    }
}

/// Any number that fits one: floats, integers of up to 32 bits, and decimals, to the nearest.
impl<'a> FromCell<'a> for f64 {
    const WANTED: &'static str = "float64";
    fn fits(field: &Field) -> bool {
        matches!(field.kind, Kind::Float32 | Kind::Float64 | Kind::Int8 | Kind::Int16 | Kind::Int32)
            || field.is_logical("Decimal")
    }
    fn from_cell(column: &'a Column, row: usize) -> Option<Self> {
        match column {
            Column::Int(_) => column.int(row).map(|v| v as f64),
            Column::Float(_) => column.float(row),
            _ => column.text(row)?.parse().ok(),
        }
    }
}
