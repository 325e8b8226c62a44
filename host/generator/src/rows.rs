//! The shop's tables, and its rows as cells of a text wire, as a database would send them.

use crate::shop::{Order, Shop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use weir_cdc::{CellLeaf, Column, Envelope, Op, SourceBlock, Table};
use weir_model::{Cell, Codec, Kind, Meta, Stream, Type, wire::binary};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    Users,
    Products,
    Orders,
    /// with the column that the schema change adds
    OrdersWithCoupon,
}

/// The first moment of the shop, 2026-01-01T00:00:00Z, in µs; an event is a minute.
const OPENED_US: i64 = 1_767_225_600_000_000;

/// Streams are numbered over all sources of the process.
static STREAMS: AtomicU64 = AtomicU64::new(1 << 48);

// === impl Which ===

impl Which {
    pub const fn table(self) -> &'static str {
        match self {
            Which::Users => "users",
            Which::Products => "products",
            Which::Orders | Which::OrdersWithCoupon => "orders",
        }
    }

    fn columns(self) -> Vec<Column> {
        let column = |name: &str, ty: Type, codec| Column { name: name.into(), ty, leaf: CellLeaf::Codec(codec) };
        let int = |name: &str| column(name, Type::new(Kind::Int32), Codec::IntText);
        let long = |name: &str| column(name, Type::new(Kind::Int64), Codec::IntText);
        let text = |name: &str| column(name, Type::new(Kind::Text), Codec::Text);
        let money = |name: &str| column(name, Type::decimal(2, Some(10)), Codec::DecimalText { scale: 2 });
        let zoned = Type::named(Kind::Text, "io.debezium.time.ZonedTimestamp", 1);
        let time = |name: &str| column(name, zoned.clone(), Codec::ZonedText { precision: 6 });
        match self {
            Which::Users => vec![int("id"), text("name"), text("email"), time("created_at")],
            Which::Products => vec![int("id"), text("title"), money("price"), int("stock")],
            Which::Orders => {
                vec![
                    long("id"),
                    int("user_id"),
                    int("product_id"),
                    int("quantity"),
                    money("amount"),
                    text("status"),
                    time("placed_at"),
                ]
            }
            Which::OrdersWithCoupon => {
                let mut all = Which::Orders.columns();
                all.push(column("coupon", Type::new(Kind::Text).optional(true), Codec::Text));
                all
            }
        }
    }

    /// The stream of this table.
    pub fn stream(self, prefix: &str, envelope: &Envelope, op: Op) -> Arc<Stream> {
        let columns = self.columns();
        let width = columns.len();
        let columns = columns.into_iter().enumerate().map(|(i, c)| (i as u16, c)).collect();
        let topic = weir_cdc::topic_name(prefix, "shop", self.table(), ".");
        let table = Table { topic, columns, key: vec![0] };
        let program = envelope.program(&table, &source_block(prefix, self.table(), op), op);
        let name = format!("shop.{}", self.table()).into();
        Arc::new(Stream { id: STREAMS.fetch_add(1, Relaxed), name, width, program })
    }
}

fn source_block(prefix: &str, table: &str, op: Op) -> SourceBlock {
    let fields = vec![
        SourceBlock::text("version", env!("CARGO_PKG_VERSION")),
        SourceBlock::text("connector", "generator"),
        SourceBlock::text("name", prefix),
        SourceBlock::meta("ts_ms", Kind::Int64, false, Meta::SourceMs),
        SourceBlock::snapshot_field(op),
        SourceBlock::text("db", "shop"),
        SourceBlock::meta("sequence", Kind::Text, true, Meta::Sequence),
        SourceBlock::meta("ts_us", Kind::Int64, true, Meta::SourceUs),
        SourceBlock::meta("ts_ns", Kind::Int64, true, Meta::SourceNs),
        SourceBlock::text("table", table),
        SourceBlock::meta("event", Kind::Int64, false, Meta::Position),
    ];
    SourceBlock { name: "io.weir.connector.generator.Source", fields }
}

/// Cells and the bytes they lie in, being written.
#[derive(Default)]
pub struct Wire {
    pub bytes: Vec<u8>,
}

// === impl Wire ===

impl Wire {
    fn cell(&mut self, cells: &mut Vec<Cell>, text: &[u8]) {
        cells.push(Cell { at: self.bytes.len() as u32, len: text.len() as u32 });
        self.bytes.extend_from_slice(text)
    }
    fn int(&mut self, cells: &mut Vec<Cell>, n: u64) {
        self.cell(cells, itoa::Buffer::new().format(n).as_bytes())
    }
    fn price(&mut self, cells: &mut Vec<Cell>, cents: u64) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(itoa::Buffer::new().format(cents / 100).as_bytes());
        let part = (cents % 100) as u8;
        self.bytes.extend_from_slice(&[b'.', b'0' + part / 10, b'0' + part % 10]);
        cells.push(Cell { at: at as u32, len: (self.bytes.len() - at) as u32 })
    }
    fn time(&mut self, cells: &mut Vec<Cell>, event: u64) {
        let micros = OPENED_US + event as i64 * 60_000_000 + (event as i64 * 7919) % 1_000_000;
        let (day, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
        let (year, month, date) = binary::civil(day);
        let at = self.bytes.len();
        let mut put = |n: i64, width: u32, end: u8| {
            (0..width).rev().for_each(|i| self.bytes.push(b'0' + (n / 10i64.pow(i) % 10) as u8));
            self.bytes.push(end)
        };
        let s = rest / 1_000_000;
        for (n, width, end) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (date, 2, b' '),
            (s / 3600, 2, b':'),
            (s / 60 % 60, 2, b':'),
            (s % 60, 2, b'.'),
            (rest % 1_000_000, 6, b'+'),
        ] {
            put(n, width, end)
        }
        self.bytes.extend_from_slice(b"00");
        cells.push(Cell { at: at as u32, len: (self.bytes.len() - at) as u32 })
    }

    pub fn user(&mut self, cells: &mut Vec<Cell>, n: u64) {
        self.int(cells, n + 1);
        self.cell(cells, name(n).as_bytes());
        self.cell(cells, email(n).as_bytes());
        self.time(cells, n)
    }

    pub fn product(&mut self, cells: &mut Vec<Cell>, n: u64, stock: u64) {
        self.int(cells, n + 1);
        self.cell(cells, title(n).as_bytes());
        self.price(cells, price(n));
        self.int(cells, stock)
    }

    pub fn order(&mut self, cells: &mut Vec<Cell>, o: &Order, has_coupon: bool) {
        self.int(cells, o.id);
        self.int(cells, o.user + 1);
        self.int(cells, o.product + 1);
        self.int(cells, o.quantity);
        self.price(cells, price(o.product) * o.quantity);
        self.cell(cells, o.status.name().as_bytes());
        self.time(cells, o.placed);
        match (has_coupon, o.coupon) {
            (false, _) => {}
            (true, None) => cells.push(Cell::NULL),
            (true, Some(n)) => self.cell(cells, coupon(n).as_bytes()),
        }
    }
}

pub fn name(user: u64) -> &'static str {
    const NAMES: [&str; 10] =
        ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Ken", "Radia", "Tony", "Margaret"];
    NAMES.get(user as usize % NAMES.len()).copied().unwrap_or("Ada")
}

pub fn email(user: u64) -> String {
    format!("{}{}@example.com", name(user).to_lowercase(), user + 1)
}

pub fn title(product: u64) -> String {
    const TITLES: [&str; 5] = ["cotton shirt", "oak table", "desk lamp", "blue mug", "wool scarf"];
    format!("{} no. {}", TITLES.get(product as usize % TITLES.len()).copied().unwrap_or("mug"), product + 1)
}

/// In cents.
pub fn price(product: u64) -> u64 {
    499 + product * 350
}

pub fn coupon(n: u64) -> String {
    format!("WEIR{n:02}")
}

/// The shop's clock at an event, µs since the epoch.
pub fn clock(shop: &Shop) -> i64 {
    OPENED_US + shop.event as i64 * 60_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::wire::text;

    #[test]
    fn times_are_what_a_database_would_print() {
        let (mut w, mut cells) = (Wire::default(), vec![]);
        w.time(&mut cells, 3);
        assert_eq!(w.bytes, b"2026-01-01 00:03:00.023757+00");
        assert_eq!(text::timestamp(&w.bytes[..26]), Some(OPENED_US + 180_023_757));
    }
}
