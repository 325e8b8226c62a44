//! Rows: the cells that a per-message function reads.

use crate::{Cell, Column, FromCell, Slot};

/// A typed row. Derive it; see the crate's README for the attributes.
pub trait Row<'a>: Sized {
    const CELLS: &'static [Cell];
    /// `None` where a required cell is null.
    fn read(cells: &Cells<'a>, row: usize) -> Option<Self>;
}

/// A batch, as a row sees it: a column, or nothing, for each of its cells.
pub struct Cells<'a> {
    slots: &'a [Slot],
    columns: &'a [Column],
}

// === impl Cells ===

impl<'a> Cells<'a> {
    pub fn new(slots: &'a [Slot], columns: &'a [Column]) -> Self {
        Cells { slots, columns }
    }

    /// The value of a cell; `None` where a required one is null.
    #[inline]
    pub fn get<T: FromCell<'a>>(&self, cell: usize, row: usize) -> Option<T> {
        let column = match self.slots.get(cell) {
            Some(Slot::Column(i)) => self.columns.get(*i),
            _ => None,
        };
        column.and_then(|c| T::from_cell(c, row)).or_else(T::null)
    }
}
