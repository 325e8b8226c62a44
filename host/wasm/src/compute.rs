//! Computed columns, checked: lengths, ends, UTF-8, codes make the whole output malformed; what a kind cannot hold fails its row.

use crate::scalar::{DAY_MS, is_date, is_decimal, range, scale};
use crate::wit::{self, Blobs};
use crate::{decimal, json, typed_json};
use weir_model::{Column, Compute, Kind, Repr, Scratch, Value};

/// Output rows that failed, and why.
pub(crate) type Bad = Vec<(u32, String)>;

/// Err: the column is not what was agreed upon; holds no value.
pub(crate) fn read(
    column: wit::Column,
    compute: &Compute,
    rows: usize,
    typed: &mut typed_json::Reader,
    bad: &mut Bad,
) -> Result<Column, String> {
    let ty = &compute.ty;
    Ok(match (column, compute.repr, ty.kind) {
        (wit::Column::Null, ..) => Column::Null,
        (wit::Column::Boolean(c), Repr::Native, Kind::Boolean) => {
            lengths(rows, c.values.len(), &c.valid)?;
            Column::Bits { valid: c.valid, values: c.values }
        }
        (wit::Column::Int(c), Repr::Native, kind) if kind.is_int() => {
            lengths(rows, c.values.len(), &c.valid)?;
            ints(c, compute, bad)
        }
        (wit::Column::Float(mut c), Repr::Native, Kind::Float32 | Kind::Float64) => {
            lengths(rows, c.values.len(), &c.valid)?;
            if ty.kind == Kind::Float32 {
                c.values.iter_mut().for_each(|f| *f = (*f as f32).into())
            }
            Column::Floats { valid: c.valid, values: c.values }
        }
        (wit::Column::Text(c), Repr::Native, Kind::Bytes) if is_decimal(ty) => {
            blobs(&c, rows)?;
            decimals(c, scale(ty), bad)
        }
        (wit::Column::Text(c), Repr::Native, Kind::Text) => {
            blobs(&c, rows)?;
            utf8(&c)?;
            Column::Text { valid: c.valid, ends: c.ends, data: c.data }
        }
        (wit::Column::Bytes(c), Repr::Native, Kind::Bytes) if !is_decimal(ty) => {
            blobs(&c, rows)?;
            Column::Bytes { valid: c.valid, ends: c.ends, data: c.data }
        }
        (wit::Column::Dictionary(c), Repr::Dictionary, _) => codes(c, rows)?,
        (wit::Column::Text(c), Repr::Json, _) => {
            blobs(&c, rows)?;
            values(&c, bad, |t| json::read(t, ty))
        }
        (wit::Column::Text(c), Repr::TypedJson, _) => {
            blobs(&c, rows)?;
            values(&c, bad, |t| typed.read(t))
        }
        (found, repr, kind) => {
            let name = match found {
                wit::Column::Boolean(_) => "boolean",
                wit::Column::Int(_) => "int",
                wit::Column::Float(_) => "float",
                wit::Column::Text(_) => "text",
                wit::Column::Bytes(_) => "bytes",
                wit::Column::Dictionary(_) => "dictionary",
                wit::Column::Null => "null",
            };
            let repr = format!("{repr:?}").to_lowercase();
            return Err(format!("a column of {name} for a compute of kind {} as {repr}", kind.json_name()));
        }
    })
}

fn lengths(rows: usize, values: usize, valid: &[u8]) -> Result<(), String> {
    if values != rows {
        return Err(format!("a column of {values} values for {rows} rows"));
    }
    if !valid.is_empty() && valid.len() != rows {
        return Err(format!("a column with validity of {} rows for {rows} rows", valid.len()));
    }
    Ok(())
}

/// `ends` ascend and stay within the data.
fn blobs(c: &Blobs, rows: usize) -> Result<(), String> {
    lengths(rows, c.ends.len(), &c.valid)?;
    let ascend = c.ends.is_sorted();
    let last = c.ends.last().map_or(0, |e| *e as usize);
    if !ascend || last > c.data.len() {
        return Err(
            if ascend { "a column whose ends lie outside its data" } else { "a column whose ends descend" }.into()
        );
    }
    Ok(())
}

/// The whole at once; row by row only where that fails, for a null's bytes have no meaning.
fn utf8(c: &Blobs) -> Result<(), String> {
    let used = c.data.get(..c.ends.last().map_or(0, |e| *e as usize)).unwrap_or_default();
    // a character cut in two shows at its first byte behind the end
    let is_start = |e: &u32| used.get(*e as usize).is_none_or(|b| b & 0xC0 != 0x80);
    if simdutf8::basic::from_utf8(used).is_ok() && (used.is_ascii() || c.ends.iter().all(is_start)) {
        return Ok(());
    }
    match rows(c).all(|row| row.is_none_or(|t| simdutf8::basic::from_utf8(t).is_ok())) {
        true => Ok(()),
        false => Err("a text column that is no UTF-8".into()),
    }
}

/// Each row's bytes; none for a null.
fn rows(c: &Blobs) -> impl Iterator<Item = Option<&[u8]>> {
    let mut from = 0;
    c.ends.iter().enumerate().map(move |(i, end)| {
        let bytes = c.data.get(from..*end as usize).unwrap_or_default();
        from = *end as usize;
        is_valid(&c.valid, i).then_some(bytes)
    })
}

#[inline]
fn is_valid(valid: &[u8], i: usize) -> bool {
    valid.is_empty() || valid.get(i).is_some_and(|v| *v != 0)
}

fn ints(mut c: wit::Ints, compute: &Compute, bad: &mut Bad) -> Column {
    let ty = &compute.ty;
    if is_date(ty) {
        for (i, v) in c.values.iter_mut().enumerate() {
            if *v % DAY_MS != 0 && is_valid(&c.valid, i) {
                bad.push((i as u32, "a Date with a time of day".into()))
            }
            *v = v.div_euclid(DAY_MS);
        }
    }
    let (least, most) = range(ty.kind);
    // null rows may hold anything: they are only looked at where the fast way fails
    if !c.values.iter().all(|v| (least..=most).contains(v)) {
        for (i, v) in c.values.iter().enumerate() {
            if !(least..=most).contains(v) && is_valid(&c.valid, i) {
                bad.push((i as u32, format!("a number that {} cannot hold", ty.kind.json_name())))
            }
        }
    }
    Column::Ints { valid: c.valid, values: c.values }
}

fn decimals(c: Blobs, scale: i16, bad: &mut Bad) -> Column {
    let (mut ends, mut data) = (Vec::with_capacity(c.ends.len()), Vec::with_capacity(c.data.len()));
    let mut scratch = Scratch::default();
    for (i, row) in rows(&c).enumerate() {
        if let Some(text) = row {
            match decimal::read(text, scale, &mut scratch) {
                Some(bytes) => data.extend_from_slice(bytes),
                None => bad.push((i as u32, format!("a text that is no decimal of scale {scale}"))),
            }
        }
        ends.push(data.len() as u32)
    }
    Column::Bytes { valid: c.valid, ends, data }
}

fn codes(c: wit::Codes, rows: usize) -> Result<Column, String> {
    lengths(rows, c.codes.len(), &c.valid)?;
    let (mut ends, mut data) = (Vec::with_capacity(rows), vec![]);
    for (i, code) in c.codes.iter().enumerate() {
        if is_valid(&c.valid, i) {
            let value = c.values.get(*code as usize).ok_or("a dictionary column with a code that has no value")?;
            data.extend_from_slice(value.as_bytes());
            if data.len() > u32::MAX as usize {
                return Err("a dictionary column of more than 4 GiB".into());
            }
        }
        ends.push(data.len() as u32)
    }
    Ok(Column::Text { valid: c.valid, ends, data })
}

fn values(c: &Blobs, bad: &mut Bad, mut read: impl FnMut(&[u8]) -> Result<Value, String>) -> Column {
    let value = |(i, row): (usize, Option<&[u8]>)| match row.map(&mut read) {
        None => Value::Null,
        Some(Ok(value)) => value,
        Some(Err(why)) => {
            bad.push((i as u32, why));
            Value::Null
        }
    };
    Column::Values(rows(c).enumerate().map(value).collect())
}

// === putting parts together ===

/// Puts a column of `more` rows behind one of `rows` rows.
pub(crate) fn append(to: &mut Column, rows: usize, from: Column, more: usize) {
    if rows == 0 {
        *to = from;
        return;
    }
    match (&mut *to, from) {
        (Column::Null, Column::Null) => {}
        (Column::Null, from) => {
            let mut head = nulls(&from, rows);
            append(&mut head, rows, from, more);
            *to = head
        }
        (to, Column::Null) => {
            let tail = nulls(to, more);
            append(to, rows, tail, more)
        }
        (Column::Bits { valid, values }, Column::Bits { valid: v, values: n }) => {
            validity(valid, rows, v, more);
            values.extend(n)
        }
        (Column::Ints { valid, values }, Column::Ints { valid: v, values: n }) => {
            validity(valid, rows, v, more);
            values.extend(n)
        }
        (Column::Floats { valid, values }, Column::Floats { valid: v, values: n }) => {
            validity(valid, rows, v, more);
            values.extend(n)
        }
        (Column::Text { valid, ends, data }, Column::Text { valid: v, ends: e, data: d })
        | (Column::Bytes { valid, ends, data }, Column::Bytes { valid: v, ends: e, data: d }) => {
            validity(valid, rows, v, more);
            // bytes behind the last end have no meaning, and would shift what follows
            data.truncate(ends.last().map_or(0, |e| *e as usize));
            let base = data.len() as u32;
            ends.extend(e.into_iter().map(|e| base + e));
            data.extend(d)
        }
        (Column::Values(to), Column::Values(from)) => to.extend(from),
        // columns of one compute are of one variant
        _ => {}
    }
}

fn validity(valid: &mut Vec<u8>, rows: usize, more: Vec<u8>, n: usize) {
    if valid.is_empty() && more.is_empty() {
        return;
    }
    if valid.is_empty() {
        valid.resize(rows, 1)
    }
    match more.is_empty() {
        true => valid.resize(rows + n, 1),
        false => valid.extend(more),
    }
}

/// So many nulls, of the variant that another column has.
fn nulls(like: &Column, rows: usize) -> Column {
    let valid = vec![0; rows];
    match like {
        Column::Null => Column::Null,
        Column::Bits { .. } => Column::Bits { valid, values: vec![0; rows] },
        Column::Ints { .. } => Column::Ints { valid, values: vec![0; rows] },
        Column::Floats { .. } => Column::Floats { valid, values: vec![0.0; rows] },
        Column::Text { .. } => Column::Text { valid, ends: vec![0; rows], data: vec![] },
        Column::Bytes { .. } => Column::Bytes { valid, ends: vec![0; rows], data: vec![] },
        Column::Values(_) => Column::Values(vec![Value::Null; rows]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_model::Type;

    fn any_column() -> impl Strategy<Value = wit::Column> {
        use proptest::collection::vec;
        let bytes = || vec(any::<u8>(), 0..6);
        prop_oneof![
            Just(wit::Column::Null),
            (bytes(), bytes()).prop_map(|(valid, values)| wit::Column::Boolean(wit::Bits { valid, values })),
            (bytes(), vec(any::<i64>(), 0..6))
                .prop_map(|(valid, values)| wit::Column::Int(wit::Ints { valid, values })),
            (bytes(), vec(any::<f64>(), 0..6))
                .prop_map(|(valid, values)| wit::Column::Float(wit::Floats { valid, values })),
            (bytes(), vec(0u32..9, 0..6), bytes()).prop_map(|(valid, ends, data)| wit::Column::Text(Blobs {
                valid,
                ends,
                data
            })),
            (bytes(), vec(0u32..9, 0..6), bytes()).prop_map(|(valid, ends, data)| wit::Column::Bytes(Blobs {
                valid,
                ends,
                data
            })),
            (bytes(), vec(0u32..4, 0..6), vec(".*", 0..3))
                .prop_map(|(valid, codes, values)| wit::Column::Dictionary(wit::Codes { valid, codes, values })),
        ]
    }

    fn any_compute() -> impl Strategy<Value = Compute> {
        let ty = prop_oneof![
            Just(Type::new(Kind::Boolean)),
            Just(Type::new(Kind::Int8)),
            Just(Type::named(Kind::Int32, weir_model::logical::DATE, 1)),
            Just(Type::new(Kind::Float32)),
            Just(Type::new(Kind::Text)),
            Just(Type::new(Kind::Bytes)),
            Just(Type::decimal(2, None)),
            Just(Type::array(Type::new(Kind::Int8))),
            Just(crate::scalar::untyped()),
        ];
        let repr = prop_oneof![Just(Repr::Native), Just(Repr::Dictionary), Just(Repr::Json), Just(Repr::TypedJson)];
        (ty, repr).prop_map(|(ty, repr)| Compute { ty, repr })
    }

    proptest! {
        /// Whatever a guest hands back is refused, or every row of it can be read.
        #[test]
        fn any_column_is_refused_or_whole(column in any_column(), compute in any_compute(), rows in 0usize..6) {
            let mut bad = vec![];
            if let Ok(column) = read(column, &compute, rows, &mut Default::default(), &mut bad) {
                for r in 0..rows as u32 {
                    let value = column.value(r);
                    if let (weir_model::Column::Text { .. }, false) = (&column, column.is_null(r)) {
                        prop_assert!(std::str::from_utf8(column.blob(r)).is_ok());
                    }
                    prop_assert_eq!(value.is_null(), column.is_null(r));
                }
                prop_assert!(bad.iter().all(|b| (b.0 as usize) < rows));
            }
        }

        #[test]
        fn parts_are_the_whole(a in proptest::collection::vec(proptest::option::of(".{0,3}"), 0..5), b in proptest::collection::vec(proptest::option::of(".{0,3}"), 0..5)) {
            let column = |rows: &[Option<String>]| {
                let (mut ends, mut data) = (vec![], vec![]);
                for r in rows {
                    data.extend_from_slice(r.as_deref().unwrap_or("").as_bytes());
                    ends.push(data.len() as u32);
                }
                let valid: Vec<u8> = rows.iter().map(|r| r.is_some() as u8).collect();
                data.extend_from_slice(b"rest");
                match valid.iter().any(|v| *v != 0) || rows.is_empty() {
                    true => Column::Text { valid: if valid.contains(&0) { valid } else { vec![] }, ends, data },
                    false => Column::Null,
                }
            };
            let mut all = column(&a);
            append(&mut all, a.len(), column(&b), b.len());
            for (i, want) in a.iter().chain(&b).enumerate() {
                let found = (!all.is_null(i as u32)).then(|| String::from_utf8_lossy(all.blob(i as u32)).into_owned());
                prop_assert_eq!(&found, want);
            }
        }
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = |ends: Vec<u32>| wit::Column::Text(Blobs { valid: vec![], ends, data: "aüb".into() });
        let compute = Compute { ty: Type::new(Kind::Text), repr: Repr::Native };
        let check = |ends| read(text(ends), &compute, 2, &mut Default::default(), &mut vec![]).is_ok();
        assert!(check(vec![1, 4]) && check(vec![3, 4]) && check(vec![0, 3]));
        assert!(!check(vec![2, 4]) && !check(vec![1, 2]) && !check(vec![4, 1]) && !check(vec![1, 5]));
    }
}
