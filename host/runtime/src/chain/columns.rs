//! Columns that come back from a guest, put where the batch's rows are.

use weir_model::Column;

/// Spreads a column of output rows over the batch's rows: `at[i]` is the row of output `i`, ascending. What is not named is null.
pub(crate) fn scatter(column: Column, at: &[u32], rows: usize) -> Column {
    if at.len() == rows && at.iter().enumerate().all(|(i, r)| i as u32 == *r) {
        return column;
    }
    let is_valid: Vec<bool> = (0..at.len()).map(|i| !column.is_null(i as u32)).collect();
    let mut valid = vec![0u8; rows];
    for (r, ok) in at.iter().zip(&is_valid) {
        if let Some(v) = valid.get_mut(*r as usize) {
            *v = *ok as u8
        }
    }
    match column {
        Column::Null => Column::Null,
        Column::Bits { values, .. } => Column::Bits { valid, values: place(&values, at, rows) },
        Column::Ints { values, .. } => Column::Ints { valid, values: place(&values, at, rows) },
        Column::Floats { values, .. } => Column::Floats { valid, values: place(&values, at, rows) },
        Column::Text { ends, data, .. } => Column::Text { valid, ends: spread(&ends, at, rows), data },
        Column::Bytes { ends, data, .. } => Column::Bytes { valid, ends: spread(&ends, at, rows), data },
        Column::Values(values) => Column::Values(place(&values, at, rows)),
    }
}

fn place<T: Default + Clone>(values: &[T], at: &[u32], rows: usize) -> Vec<T> {
    let mut out = vec![T::default(); rows];
    for (v, r) in values.iter().zip(at) {
        if let Some(to) = out.get_mut(*r as usize) {
            *to = v.clone()
        }
    }
    out
}

/// Ends of rows: a row that is not named is empty. Works because `at` ascends, so that the data stay in order.
fn spread(ends: &[u32], at: &[u32], rows: usize) -> Vec<u32> {
    let (mut out, mut last, mut next) = (Vec::with_capacity(rows), 0, ends.iter().zip(at).peekable());
    for r in 0..rows as u32 {
        while let Some((end, _)) = next.next_if(|(_, row)| **row <= r) {
            last = *end
        }
        out.push(last)
    }
    out
}

/// Appends a copy of row `r`'s value, for a row that became two.
pub(crate) fn repeat(column: &mut Column, r: u32, rows: usize) {
    let null = column.is_null(r);
    let keep = |valid: &mut Vec<u8>| {
        if valid.is_empty() && null {
            *valid = vec![1; rows]
        }
        if !valid.is_empty() {
            valid.resize(rows, 0);
            valid.push(!null as u8)
        }
    };
    let blob = column.blob(r).to_vec();
    let i = r as usize;
    match column {
        Column::Null => {}
        Column::Bits { valid, values } => {
            keep(valid);
            push(values, i, rows)
        }
        Column::Ints { valid, values } => {
            keep(valid);
            push(values, i, rows)
        }
        Column::Floats { valid, values } => {
            keep(valid);
            push(values, i, rows)
        }
        Column::Text { valid, ends, data } | Column::Bytes { valid, ends, data } => {
            keep(valid);
            ends.resize(rows, ends.last().copied().unwrap_or(0));
            data.extend_from_slice(&blob);
            ends.push(data.len() as u32)
        }
        Column::Values(values) => push(values, i, rows),
    }
}

fn push<T: Default + Clone>(values: &mut Vec<T>, i: usize, rows: usize) {
    values.resize(rows, T::default());
    let v = values.get(i).cloned().unwrap_or_default();
    values.push(v)
}

/// Some rows of a column, in order.
pub(crate) fn pick(column: &Column, rows: impl Iterator<Item = usize>) -> Column {
    let mut out = empty_like(column);
    for (n, i) in rows.enumerate() {
        append(&mut out, column, i as u32, n);
    }
    out
}

fn empty_like(column: &Column) -> Column {
    match column {
        Column::Null => Column::Null,
        Column::Bits { .. } => Column::Bits { valid: vec![], values: vec![] },
        Column::Ints { .. } => Column::Ints { valid: vec![], values: vec![] },
        Column::Floats { .. } => Column::Floats { valid: vec![], values: vec![] },
        Column::Text { .. } => Column::Text { valid: vec![], ends: vec![], data: vec![] },
        Column::Bytes { .. } => Column::Bytes { valid: vec![], ends: vec![], data: vec![] },
        Column::Values(_) => Column::Values(vec![]),
    }
}

/// Appends row `i` of a column to another of its sort, which has `rows` rows by now. A column of nulls is of every sort.
pub(crate) fn append(to: &mut Column, from: &Column, i: u32, rows: usize) {
    let null = from.is_null(i);
    let mark = |valid: &mut Vec<u8>| {
        if valid.is_empty() && rows > 0 {
            *valid = vec![1; rows]
        }
        valid.push(!null as u8)
    };
    match to {
        Column::Null => {}
        Column::Bits { valid, values } => {
            mark(valid);
            values.push(if let Column::Bits { values, .. } = from { value(values, i) } else { Default::default() })
        }
        Column::Ints { valid, values } => {
            mark(valid);
            values.push(if let Column::Ints { values, .. } = from { value(values, i) } else { 0 })
        }
        Column::Floats { valid, values } => {
            mark(valid);
            values.push(if let Column::Floats { values, .. } = from { value(values, i) } else { 0.0 })
        }
        Column::Text { valid, ends, data } | Column::Bytes { valid, ends, data } => {
            mark(valid);
            data.extend_from_slice(from.blob(i));
            ends.push(data.len() as u32)
        }
        Column::Values(values) => {
            values.push(if let Column::Values(values) = from { value(values, i) } else { Default::default() })
        }
    }
}

fn value<T: Default + Clone>(values: &[T], i: u32) -> T {
    values.get(i as usize).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_lands_on_its_rows() {
        let text = Column::Text { valid: vec![1, 0, 1], ends: vec![1, 1, 3], data: b"abc".to_vec() };
        let out = scatter(text, &[1, 2, 4], 6);
        let said: Vec<_> = (0..6).map(|r| (out.is_null(r), out.blob(r).to_vec())).collect();
        assert_eq!(said[1], (false, b"a".to_vec()));
        assert_eq!(said[4], (false, b"bc".to_vec()));
        assert!(said[0].0 && said[2].0 && said[3].0 && said[5].0);
        let ints = scatter(Column::Ints { valid: vec![], values: vec![7, 8] }, &[0, 3], 4);
        assert_eq!((0..4).map(|r| ints.is_null(r)).collect::<Vec<_>>(), [false, true, true, false]);
    }

    #[test]
    fn a_row_that_became_two_keeps_its_values() {
        let mut c = Column::Text { valid: vec![], ends: vec![1, 3], data: b"abc".to_vec() };
        repeat(&mut c, 0, 2);
        assert_eq!((c.blob(0), c.blob(1), c.blob(2)), (&b"a"[..], &b"bc"[..], &b"a"[..]));
        let mut c = Column::Ints { valid: vec![0, 1], values: vec![0, 5] };
        repeat(&mut c, 0, 2);
        assert!(c.is_null(2) && !c.is_null(1));
    }
}
