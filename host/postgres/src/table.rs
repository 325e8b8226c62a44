//! A captured table: the catalogue's columns met with what the wire brings, as a stream.

use crate::catalogue::{ColumnInfo, TableInfo, Types};
use crate::handling::Handling;
use crate::pgoutput::{Captured, Relation, RelationColumn};
use crate::type_table::{LeftOut, Mapping, Wire, column};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tracing::warn;
use weir_api::Error;
use weir_cdc::{Envelope, Op, SourceBlock, Table, topic_name};
use weir_model::{Kind, Meta, Stream};

/// What all tables of a connector share.
#[derive(Clone)]
pub struct Naming {
    pub prefix: String,
    pub database: String,
    pub envelope: Envelope,
    /// columns that are captured, by "schema.table.column"
    pub columns: ColumnFilter,
    pub keys: KeyColumns,
    /// `topic.delimiter`
    pub delimiter: String,
    pub handling: Handling,
    /// whether the stream was asked for binary cells
    pub binary: bool,
}

/// `column.include.list` and `column.exclude.list`
#[derive(Clone, Debug, Default)]
pub struct ColumnFilter {
    pub include: Option<weir_cdc::Patterns>,
    pub exclude: Option<weir_cdc::Patterns>,
}

/// `message.key.columns`: keys of tables whose names match, in place of their own.
#[derive(Clone, Debug, Default)]
pub struct KeyColumns(Vec<(weir_cdc::Patterns, Vec<String>)>);

/// Streams are numbered over all sources of the process.
static STREAMS: AtomicU64 = AtomicU64::new(1);

/// Columns (with their types) that were said to be left out.
static WARNED: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

// === impl ColumnFilter ===

impl ColumnFilter {
    pub fn takes(&self, schema: &str, table: &str, column: &str) -> bool {
        let name = format!("{schema}.{table}.{column}");
        self.include.as_ref().is_none_or(|p| p.matches(&name))
            && !self.exclude.as_ref().is_some_and(|p| p.matches(&name))
    }
}

// === impl KeyColumns ===

impl KeyColumns {
    pub const KEY: &str = "message.key.columns";

    /// "schema.table:column,column;…"
    pub fn parse(text: &str) -> Result<KeyColumns, Error> {
        let wrong = |part: &str| {
            Error::input("config.not-allowed", format!("`{}` holds \"{part}\", which names no key", Self::KEY))
                .help("schema.table:column,column;…, the table as a regular expression")
        };
        let one = |part: &str| {
            let (tables, columns) = part.rsplit_once(':').ok_or_else(|| wrong(part))?;
            let columns: Vec<_> = columns.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect();
            let tables = weir_cdc::Patterns::parse(tables).map_err(|e| wrong(part).help(e.reason))?;
            if columns.is_empty() || tables.is_empty() { Err(wrong(part)) } else { Ok((tables, columns)) }
        };
        let parts = text.split(';').map(str::trim).filter(|p| !p.is_empty());
        Ok(KeyColumns(parts.map(one).collect::<Result<_, _>>()?))
    }

    /// A table's key: its own, unless a pattern says otherwise.
    fn of<'a>(&'a self, info: &'a TableInfo) -> &'a [String] {
        let name = format!("{}.{}", info.schema, info.table);
        self.0.iter().find(|(tables, _)| tables.matches(&name)).map_or(&info.key, |(_, columns)| columns)
    }
}

// === impl Naming ===

impl Naming {
    /// Columns of a table as captured, with their cells' places. `cell`: where a column's cell lies in a tuple; None: not sent.
    fn table(
        &self,
        info: &TableInfo,
        types: &Types,
        wire: impl Fn(&ColumnInfo) -> Wire,
        mut cell: impl FnMut(&ColumnInfo) -> Option<u16>,
    ) -> (Table, Vec<Mapping>) {
        let mut columns: Vec<(u16, weir_cdc::Column)> = vec![];
        let mut mappings = vec![];
        for c in &info.columns {
            if !self.takes(info, c) {
                continue;
            }
            let Some(at) = cell(c) else { continue };
            let mapping = match column(c, info.key.contains(&c.name), types, &self.handling, wire(c)) {
                Ok(mapping) => mapping,
                Err(left_out) => {
                    self.warn(info, c, &left_out);
                    continue;
                }
            };
            columns.push((at, mapping.column.clone()));
            mappings.push(mapping);
        }
        let place = |name: &String| columns.iter().position(|(_, c)| *c.name == **name);
        let key = self.keys.of(info).iter().filter_map(place).collect();
        let topic = topic_name(&self.prefix, &info.schema, &info.table, &self.delimiter);
        (Table { topic, columns, key }, mappings)
    }

    /// Columns of a key are in it, whatever the lists say.
    fn takes(&self, info: &TableInfo, c: &ColumnInfo) -> bool {
        info.key.contains(&c.name)
            || self.keys.of(info).contains(&c.name)
            || self.columns.takes(&info.schema, &info.table, &c.name)
    }

    /// Once for each column of the process.
    fn warn(&self, info: &TableInfo, c: &ColumnInfo, left_out: &LeftOut) {
        let name = format!("{}/{}.{}.{}", self.prefix, info.schema, info.table, c.name);
        let is_new = WARNED.lock().is_ok_and(|mut warned| warned.insert((name, left_out.type_name.clone())));
        if is_new {
            let table = format!("{}.{}", info.schema, info.table);
            let (r#type, reason) = (&left_out.type_name, left_out.reason);
            warn!(code = "postgres.type-left-out", table, column = c.name, r#type, reason, "the column is left out");
        }
    }

    fn stream(&self, info: &TableInfo, table: &Table, width: usize, op: Op) -> Arc<Stream> {
        let program = self.envelope.program(table, &self.source(info, op), op);
        let name = format!("{}.{}", info.schema, info.table).into();
        Arc::new(Stream { id: STREAMS.fetch_add(1, Relaxed), name, width, program })
    }

    /// The stream of a relation's changes. The catalogue may have moved on since: what it no longer knows, the relation's
    /// own column says.
    pub fn changes(&self, relation: &Relation, info: &TableInfo, types: &Types) -> Captured {
        let mut info = info.clone();
        info.columns = relation.columns.iter().map(|c| of_relation(c, &info)).collect();
        let places = |c: &ColumnInfo| relation.columns.iter().position(|r| r.name == c.name).map(|i| i as u16);
        let wires: Vec<Wire> = relation.columns.iter().map(|c| self.wire(c, types)).collect();
        let wire = |c: &ColumnInfo| places(c).and_then(|i| wires.get(i as usize)).copied().unwrap_or(Wire::Text);
        let (table, _) = self.table(&info, types, wire, places);
        let key = table.key.iter().filter_map(|i| table.columns.get(*i)).map(|(cell, _)| *cell).collect();
        let stream = self.stream(&info, &table, relation.columns.len(), Op::Change);
        let forms = wires.iter().map(|w| if *w == Wire::Binary { b'b' } else { b't' }).collect();
        Captured { stream, key, forms }
    }

    /// pgoutput sends what has no binary form as text, whatever was asked for.
    fn wire(&self, c: &RelationColumn, types: &Types) -> Wire {
        let sends = || types.get(c.type_oid).is_some_and(|t| t.sends);
        c.wire.unwrap_or_else(|| if self.binary && sends() { Wire::Binary } else { Wire::Text })
    }

    /// The stream of a snapshot's rows, and the columns that are to be selected.
    pub fn snapshot(&self, info: &TableInfo, types: &Types) -> (Arc<Stream>, Vec<Mapping>) {
        let mut next = 0;
        let mut places = std::collections::HashMap::new();
        for c in &info.columns {
            match column(c, false, types, &self.handling, Wire::Copy) {
                _ if !self.takes(info, c) => {}
                Ok(_) => {
                    places.insert(c.name.clone(), next);
                    next += 1;
                }
                Err(left_out) => self.warn(info, c, &left_out),
            }
        }
        let (table, mappings) = self.table(info, types, |_| Wire::Copy, |c| places.get(&c.name).copied());
        (self.stream(info, &table, mappings.len(), Op::Read), mappings)
    }

    fn source(&self, info: &TableInfo, op: Op) -> SourceBlock {
        let fields = vec![
            SourceBlock::text("version", VERSION),
            SourceBlock::text("connector", "postgresql"),
            SourceBlock::text("name", &self.prefix),
            SourceBlock::meta("ts_ms", Kind::Int64, false, Meta::SourceMs),
            SourceBlock::snapshot_field(op),
            SourceBlock::text("db", &self.database),
            SourceBlock::meta("sequence", Kind::Text, true, Meta::Sequence),
            SourceBlock::meta("ts_us", Kind::Int64, true, Meta::SourceUs),
            SourceBlock::meta("ts_ns", Kind::Int64, true, Meta::SourceNs),
            SourceBlock::text("schema", &info.schema),
            SourceBlock::text("table", &info.table),
            SourceBlock::meta("txId", Kind::Int64, true, Meta::Transaction),
            SourceBlock::meta("lsn", Kind::Int64, true, Meta::Position),
            SourceBlock::null("xmin", Kind::Int64),
            SourceBlock::null("origin", Kind::Text),
            SourceBlock::null("origin_lsn", Kind::Int64),
        ];
        SourceBlock { name: "io.debezium.connector.postgresql.Source", fields }
    }
}

/// `source.version`: consumers look at it to tell Debezium's releases apart; this is the one whose records these are.
pub const VERSION: &str = "3.6.3.Final";

/// A column that the relation has: with what the catalogue says of it, where it still is of the same type.
fn of_relation(c: &RelationColumn, info: &TableInfo) -> ColumnInfo {
    let known = info.columns.iter().find(|k| k.name == c.name && k.type_oid == c.type_oid);
    match known {
        Some(k) => ColumnInfo { modifier: c.modifier, generated: k.generated, ..k.clone() },
        None => ColumnInfo {
            name: c.name.clone(),
            type_oid: c.type_oid,
            modifier: c.modifier,
            not_null: false,
            default: None,
            identity: false,
            generated: false,
        },
    }
}
