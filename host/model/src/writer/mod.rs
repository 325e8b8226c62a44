//! Layout × format, compiled once: a list of (constant bytes, then one leaf). Per row nothing else runs.

mod compiler;
mod format;
mod op;

pub use compiler::compile;
pub use format::{Converter, Format, Part, Unwritable};

use crate::{Batch, Body, Buffer, Layout, Leaf, Meta, Name, Node, Program, Record, Row, Scratch, Stream, Value};
use std::sync::Arc;

/// Records of a batch: one buffer. See [`Record`].
#[derive(Default, Debug)]
pub struct Out {
    pub data: Buffer,
    pub records: Vec<Record>,
    pub header_ends: Vec<u32>,
    pub scratch: Scratch,
}

/// A row that could not be written; it left no byte behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowError {
    /// "key", "value" or a header's name
    pub part: Name,
    /// the field's path, as "after.amount"
    pub place: String,
}

/// Headers of a record, in order.
enum Headers {
    /// a run of headers that are the same in every record: rendered once
    Constant {
        bytes: Buffer,
        /// within `bytes`
        ends: Vec<u32>,
        /// see [`Record::null_header`]
        nulls: u32,
    },
    Written {
        name: Name,
        part: Box<dyn Part>,
        null: u32,
    },
}

/// A layout's record writer.
pub struct Writer {
    key: Option<Box<dyn Part>>,
    value: Option<Box<dyn Part>>,
    headers: Vec<Headers>,
    timestamp: Number,
    partition: Number,
    route: u16,
}

/// A record's timestamp or partition.
enum Number {
    None,
    Meta(Meta),
    Node(Box<Node>),
}

// === impl Headers ===

impl Headers {
    /// Adds a header that is the same in every record.
    fn constant(all: &mut Vec<Headers>, part: Option<Box<dyn Part>>, null: u32) -> Result<(), String> {
        if !matches!(all.last(), Some(Headers::Constant { .. })) {
            all.push(Headers::Constant { bytes: Buffer::default(), ends: vec![], nulls: 0 });
        }
        if let Some(Headers::Constant { bytes, ends, nulls }) = all.last_mut() {
            let has = match part {
                Some(mut part) => {
                    let written = part.write(&nobodys_row(), 0, &mut Scratch::default(), bytes);
                    written.map_err(|_| "a constant header holds a value that its schema does not allow".to_string())?
                }
                None => false,
            };
            ends.push(bytes.len() as u32);
            *nulls |= if has { 0 } else { null };
        }
        Ok(())
    }
}

fn is_constant(node: &Node) -> bool {
    node.guard == 0 && node.fallback.is_none() && matches!(&node.body, Body::Leaf(Leaf::Constant(_)))
}

/// A row for writers that look at none.
fn nobodys_row() -> Batch {
    let stream = Stream { id: 0, name: "".into(), width: 0, program: Program::default() };
    let mut batch = Batch::new(Arc::new(stream), Default::default(), 0);
    batch.rows.push(Row::default());
    batch
}

// === impl Writer ===

impl Writer {
    /// `route`: the number that records get, for whoever keeps the routes.
    pub fn compile(
        layout: &Layout,
        route: u16,
        key: &dyn Converter,
        value: &dyn Converter,
        header: &dyn Converter,
    ) -> Result<Writer, String> {
        let mut headers = vec![];
        for (i, (name, node)) in layout.headers.iter().enumerate() {
            let (part, null) = (header.compile(node, layout)?, Record::null_header(i));
            match part {
                Some(part) if !is_constant(node) => headers.push(Headers::Written { name: name.clone(), part, null }),
                part => Headers::constant(&mut headers, part, null)?,
            }
        }
        Ok(Writer {
            key: key.compile(&layout.key, layout)?,
            value: value.compile(&layout.value, layout)?,
            headers,
            timestamp: Number::new(&layout.timestamp),
            partition: Number::new(&layout.partition),
            route,
        })
    }

    /// Appends the record. A row that cannot be written leaves no byte behind.
    #[inline]
    pub fn write(&mut self, batch: &Batch, r: u32, out: &mut Out) -> Result<(), RowError> {
        let (start, ends) = (out.data.len(), out.header_ends.len());
        match self.parts(batch, r, out) {
            Ok(record) => {
                out.records.push(record);
                Ok(())
            }
            Err((part, place)) => {
                out.data.truncate(start);
                out.header_ends.truncate(ends);
                Err(RowError { part, place })
            }
        }
    }

    #[inline]
    fn parts(&mut self, batch: &Batch, r: u32, out: &mut Out) -> Result<Record, (Name, String)> {
        let mut record = Record {
            route: self.route,
            start: out.data.len() as u32,
            headers: out.header_ends.len() as u32,
            partition: -1,
            timestamp: Record::NO_TIMESTAMP,
            ..Record::default()
        };
        if let Some(p) = &mut self.key {
            let done = p.write(batch, r, &mut out.scratch, &mut out.data);
            if done.map_err(|op| ("key".into(), p.place(op).to_string()))? {
                record.has |= Record::KEY
            }
        }
        record.key = out.data.len() as u32;
        if let Some(p) = &mut self.value {
            let done = p.write(batch, r, &mut out.scratch, &mut out.data);
            if done.map_err(|op| ("value".into(), p.place(op).to_string()))? {
                record.has |= Record::VALUE
            }
        }
        record.value = out.data.len() as u32;
        for headers in &mut self.headers {
            match headers {
                Headers::Constant { bytes, ends, nulls } => {
                    let start = out.data.len() as u32;
                    out.data.put(bytes);
                    out.header_ends.extend(ends.iter().map(|e| start + e));
                    record.has |= *nulls
                }
                Headers::Written { name, part, null } => {
                    let done = part.write(batch, r, &mut out.scratch, &mut out.data);
                    if !done.map_err(|op| (name.clone(), part.place(op).to_string()))? {
                        record.has |= *null
                    }
                    out.header_ends.push(out.data.len() as u32)
                }
            }
        }
        if let Some(row) = batch.rows.get(r as usize) {
            if let Some(ms) = self.timestamp.of(batch, row, r) {
                record.timestamp = ms
            }
            if let Some(p) = self.partition.of(batch, row, r) {
                record.partition = i32::try_from(p).unwrap_or(-1)
            }
        }
        Ok(record)
    }

    /// To be called when another batch begins.
    pub fn forget(&mut self) {
        let headers = self.headers.iter_mut().filter_map(|h| match h {
            Headers::Constant { .. } => None,
            Headers::Written { part, .. } => Some(part),
        });
        self.key.iter_mut().chain(self.value.iter_mut()).chain(headers).for_each(|p| p.forget())
    }
}

// === impl Number ===

impl Number {
    fn new(node: &Node) -> Self {
        match &node.body {
            Body::Leaf(Leaf::Constant(Value::Null)) if node.fallback.is_none() => Number::None,
            Body::Leaf(Leaf::Meta(m)) if node.guard == 0 && node.fallback.is_none() => Number::Meta(*m),
            _ => Number::Node(Box::new(node.clone())),
        }
    }

    #[inline(always)]
    fn of(&self, batch: &Batch, row: &Row, r: u32) -> Option<i64> {
        match self {
            Number::None => None,
            Number::Meta(m) => batch.int(row, *m),
            Number::Node(node) => node.value(batch, row, r, "")?.as_int(),
        }
    }
}
