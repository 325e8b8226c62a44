//! What the server's catalogue says of tables, columns and types, where a relation message is silent: defaults, keys, enums.

use crate::Connection;
use crate::server_error::quoted;
use std::collections::HashMap;
use weir_api::Error;

/// A column as `pg_attribute` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: String,
    pub type_oid: u32,
    pub modifier: i32,
    pub not_null: bool,
    /// `pg_get_expr` of the default
    pub default: Option<String>,
    /// `generated always as identity` and `by default`
    pub identity: bool,
    /// `generated always as (…) stored`: the log does not carry it before PostgreSQL 18
    pub generated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    pub oid: u32,
    pub schema: String,
    pub table: String,
    pub columns: Vec<ColumnInfo>,
    /// the primary key's columns in its order; without one those of a unique index over columns that cannot be null
    pub key: Vec<String>,
    /// `reltuples`: how many rows the planner believes in
    pub rows: Option<u64>,
}

/// Where an ordinary table's rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// `relfilenode`: it changes when the table is written anew
    pub file: u32,
    pub blocks: u32,
}

/// `pg_type`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    pub oid: u32,
    pub name: String,
    /// b base, c composite, d domain, e enum, p pseudo, r range, m multirange
    pub kind: u8,
    /// of arrays; 0
    pub element: u32,
    /// of domains; 0
    pub base: u32,
    /// of domains
    pub base_modifier: i32,
    /// of enums, in their own order
    pub labels: Vec<String>,
    /// has a binary form
    pub sends: bool,
}

/// Types by oid, read when a session begins and again when one is missing.
#[derive(Clone, Debug, Default)]
pub struct Types {
    by_oid: HashMap<u32, TypeInfo>,
    /// digits behind the point of `money`, by the server's locale
    pub money_digits: u8,
}

type Fields = Vec<Option<String>>;

fn text(row: &Fields, i: usize) -> &str {
    row.get(i).and_then(|f| f.as_deref()).unwrap_or_default()
}

fn number<T: std::str::FromStr + Default>(row: &Fields, i: usize) -> T {
    text(row, i).parse().unwrap_or_default()
}

/// A text as a SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `"schema"."table"`
pub fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

/// All tables that could be captured, by name: ordinary ones, partitions, and partitioned ones.
pub fn tables(connection: &mut Connection) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
               AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1, 2";
    Ok(connection.simple_query(sql)?.iter().map(|r| (text(r, 0).into(), text(r, 1).into())).collect())
}

/// None: it is gone.
pub fn table(connection: &mut Connection, schema: &str, table: &str) -> Result<Option<TableInfo>, Error> {
    let name = literal(&qualified(schema, table));
    let sql = format!("SELECT c.oid, c.reltuples::bigint FROM pg_class c WHERE c.oid = to_regclass({name})");
    let found = connection.simple_query(&sql)?;
    let Some(head) = found.first() else { return Ok(None) };
    let oid: u32 = number(head, 0);
    let sql = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated \
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let columns = connection.simple_query(&sql)?;
    let columns = columns.iter().map(|r| ColumnInfo {
        name: text(r, 0).into(),
        type_oid: number(r, 1),
        modifier: number(r, 2),
        not_null: text(r, 3) == "t",
        default: r.get(4).cloned().flatten(),
        identity: !text(r, 5).is_empty(),
        generated: !text(r, 6).is_empty(),
    });
    let columns: Vec<_> = columns.collect();
    let rows = number::<i64>(head, 1);
    let key = key(connection, oid)?;
    let rows = u64::try_from(rows).ok();
    Ok(Some(TableInfo { oid, schema: schema.into(), table: table.into(), columns, key, rows }))
}

/// As the snapshot of this session shows it; None: the table is of another kind.
pub fn heap(connection: &mut Connection, oid: u32) -> Result<Option<Heap>, Error> {
    let sql = format!(
        "SELECT c.relfilenode, pg_relation_size(c.oid) / current_setting('block_size')::int FROM pg_class c \
         JOIN pg_am a ON a.oid = c.relam WHERE c.oid = {oid} AND c.relkind = 'r' AND a.amname = 'heap'"
    );
    let found = connection.simple_query(&sql)?;
    Ok(found.first().map(|r| Heap { file: number(r, 0), blocks: number(r, 1) }))
}

/// The file that a table has now, whatever this session's snapshot shows; 0: none.
pub fn file(connection: &mut Connection, oid: u32) -> Result<u32, Error> {
    let found = connection.simple_query(&format!("SELECT pg_relation_filenode({oid})"))?;
    Ok(found.first().map_or(0, |r| number(r, 0)))
}

/// As Debezium: the primary key, or else the first unique index whose columns cannot be null.
fn key(connection: &mut Connection, oid: u32) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT i.indexrelid, i.indisprimary, a.attname, a.attnotnull FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place) \
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = {oid} AND (i.indisprimary OR (i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL)) \
         AND i.indisvalid AND k.place <= i.indnkeyatts ORDER BY i.indisprimary DESC, i.indexrelid, k.place"
    );
    let rows = connection.simple_query(&sql)?;
    let mut indexes: Vec<(u32, Vec<&Fields>)> = vec![];
    for row in &rows {
        let index: u32 = number(row, 0);
        match indexes.last_mut() {
            Some((last, columns)) if *last == index => columns.push(row),
            _ => indexes.push((index, vec![row])),
        }
    }
    let fits = |columns: &&(u32, Vec<&Fields>)| columns.1.iter().all(|r| text(r, 1) == "t" || text(r, 3) == "t");
    Ok(indexes.iter().find(fits).map_or(vec![], |(_, c)| c.iter().map(|r| text(r, 2).into()).collect()))
}

// === impl Types ===

impl Types {
    pub fn read(connection: &mut Connection) -> Result<Types, Error> {
        let sql = "SELECT t.oid, t.typname, t.typtype, \
                   CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typbasetype, t.typtypmod, t.typsend <> 0 FROM pg_type t \
                   WHERE t.typtype <> 'c' OR t.typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c')";
        let mut by_oid = HashMap::new();
        for r in connection.simple_query(sql)? {
            let info = TypeInfo {
                oid: number(&r, 0),
                name: text(&r, 1).into(),
                kind: text(&r, 2).bytes().next().unwrap_or(b'b'),
                element: number(&r, 3),
                base: number(&r, 4),
                base_modifier: number(&r, 5),
                labels: vec![],
                sends: text(&r, 6) == "t",
            };
            by_oid.insert(info.oid, info);
        }
        for r in
            connection.simple_query("SELECT enumtypid, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder")?
        {
            if let Some(info) = by_oid.get_mut(&number::<u32>(&r, 0)) {
                info.labels.push(text(&r, 1).into())
            }
        }
        let money = connection.simple_query("SELECT scale(1::money::numeric)")?;
        let money_digits = money.first().map_or(2, |row| number(row, 0));
        Ok(Types { by_oid, money_digits })
    }

    pub fn get(&self, oid: u32) -> Option<&TypeInfo> {
        self.by_oid.get(&oid)
    }

    /// A domain's base type, as deep as it goes, and the modifier that comes with it.
    pub fn base(&self, oid: u32, modifier: i32) -> Option<(&TypeInfo, i32)> {
        let (mut info, mut modifier) = (self.get(oid)?, modifier);
        while info.kind == b'd' {
            if modifier < 0 {
                modifier = info.base_modifier
            }
            info = self.get(info.base)?;
        }
        Some((info, modifier))
    }
}
