//! The rows that are captured, and the ways in which they get into the database.

/// Ten columns, some 270 bytes of text a row.
pub const TABLE: &str = "CREATE TABLE events (id bigint PRIMARY KEY, qty int NOT NULL, name text, city varchar(60), \
     amount numeric(12,2), ratio float8, at timestamptz, flag boolean, ref uuid, doc jsonb)";

/// How the changes are spread over transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// ten transactions
    Ten,
    One,
    /// a transaction for each row
    Each,
}

/// Inserts the rows `from..=to` in one statement.
pub fn insert(from: u64, to: u64) -> String {
    format!("INSERT INTO events {}", rows(&format!("generate_series({from}, {to}) g")))
}

/// Statements that each are sent alone; the transactions are theirs.
pub fn statements(shape: Shape, from: u64, to: u64) -> Vec<String> {
    match shape {
        Shape::One => vec![insert(from, to)],
        Shape::Ten => {
            let part = (to + 1 - from).div_ceil(10);
            let starts = (from..=to).step_by(usize::try_from(part).unwrap_or(1));
            starts.map(|start| insert(start, (start + part - 1).min(to))).collect()
        }
        Shape::Each => {
            let row = rows("(VALUES (i)) v(g)");
            vec![format!("DO $$ BEGIN FOR i IN {from}..{to} LOOP INSERT INTO events {row}; COMMIT; END LOOP; END $$")]
        }
    }
}

fn rows(of: &str) -> String {
    format!(
        "SELECT g, g % 1000, 'customer number ' || g || ', a name and a remark of the length that such remarks have', \
         'city ' || g % 500, (g % 10000000) / 100.0, g * 1.5, timestamptz '2026-01-01 00:00:00Z' + g * interval '1 ms', \
         g % 2 = 0, md5(g::text)::uuid, \
         jsonb_build_object('id', g, 'tags', jsonb_build_array('new', 'paid'), 'note', 'leave at the door') FROM {of}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_cover_every_row_once() {
        assert_eq!(statements(Shape::Ten, 1, 1000).len(), 10);
        assert_eq!(statements(Shape::Ten, 101, 105).len(), 5);
        assert!(statements(Shape::Ten, 1, 1001).last().unwrap().contains("generate_series(910, 1001)"));
        assert_eq!(statements(Shape::One, 1, 9).len(), 1);
    }
}
