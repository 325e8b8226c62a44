//! The shop as a source.

use crate::rows::{Which, Wire, clock};
use crate::shop::{Event, PRODUCTS, Shop, USERS};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_api::{ConfigDef, Error, Key, KeyType, Limit, Offset, Poll, Position, Progress, Settings, Source};
use weir_cdc::{Context, Envelope, Op};
use weir_model::{AFTER, BEFORE, Batch, Mark, Row, Stream, Transaction, Window};

/// What `[source.generator]` takes.
pub static KEYS: ConfigDef = ConfigDef {
    keys: &[
        Key::new("topic.prefix", KeyType::String, "First part of every topic's name.").default("shop"),
        Key::new("rate", KeyType::Long, "Changes a second; 0: as many as the sink takes.").default("5"),
        Key::new("seed", KeyType::Long, "The same seed gives the same rows in the same order.").default("1"),
        Key::new("rows", KeyType::Long, "Ends after so many changes; 0: never.").default("0"),
        Key::new("schema.change.after", KeyType::Long, "Orders get a column `coupon` at this change; 0: never.")
            .default("40"),
        Key::new("snapshot.mode", KeyType::String, "Whether the users and products come first.")
            .default("initial")
            .one_of(&["initial", "initial_only", "no_data"]),
        Key::new("tombstones.on.delete", KeyType::Boolean, "A record without value behind every delete.")
            .default("true"),
        Key::new("extended.headers.enabled", KeyType::Boolean, "The four headers that say which run made a record.")
            .default("true"),
    ],
    prefixes: &[],
};

struct Generator {
    prefix: String,
    rate: u64,
    seed: u64,
    rows: u64,
    change_after: Option<u64>,
    snapshot: bool,
    stream: bool,
    envelope: Envelope,
    run: Option<Run>,
}

/// From a start to a stop.
struct Run {
    shop: Shop,
    /// users and products that are still to be read; None: the snapshot is over
    snapshot: Option<u64>,
    users: Arc<Stream>,
    products: Arc<Stream>,
    product_changes: Arc<Stream>,
    orders: Arc<Stream>,
    /// of `orders`, which the shop may be ahead of
    has_coupons: bool,
    began: Instant,
    began_at: u64,
    /// batches to use again
    pool: Vec<Batch>,
}

/// Opens the source; nothing runs before `start`.
pub fn open(settings: &Settings, name: &str) -> Result<Box<dyn Source>, Error> {
    let number = |key| Ok::<_, Error>(settings.number(&KEYS, key)?.unwrap_or(0).max(0) as u64);
    let prefix = settings.text(&KEYS, "topic.prefix").unwrap_or(name).to_string();
    let mode = settings.text(&KEYS, "snapshot.mode").unwrap_or("initial").to_lowercase();
    let context = settings.flag(&KEYS, "extended.headers.enabled")?.then(|| Context::new(&prefix, "generator"));
    let mut envelope = Envelope::new(context);
    envelope.tombstones = settings.flag(&KEYS, "tombstones.on.delete")?;
    Ok(Box::new(Generator {
        prefix,
        rate: number("rate")?,
        seed: number("seed")?,
        rows: number("rows")?,
        change_after: Some(number("schema.change.after")?).filter(|n| *n > 0),
        snapshot: mode != "no_data",
        stream: mode != "initial_only",
        envelope,
        run: None,
    }))
}

const SNAPSHOT_ROWS: u64 = USERS + PRODUCTS;

// === impl Generator ===

impl Generator {
    fn snapshot(&self, run: &mut Run, from: u64, window: &mut Window) -> Position {
        let mut wire = Wire::default();
        let (now, at) = (now_ns(), clock(&run.shop));
        let mut users = run.batch(&run.users.clone(), now);
        let mut products = run.batch(&run.products.clone(), now);
        for batch in [&mut users, &mut products] {
            batch.transactions.push(Transaction { id: 0, commit_us: at, last_commit: 0 });
        }
        for n in from..SNAPSHOT_ROWS {
            let is_user = n < USERS;
            let batch = if is_user { &mut users } else { &mut products };
            let after = batch.cells.len() as u32;
            match is_user {
                true => wire.user(&mut batch.cells, n),
                false => wire.product(&mut batch.cells, n - USERS, run.shop.stock(n - USERS)),
            }
            let mark = match n {
                0 => Mark::First,
                n if n + 1 == USERS => Mark::LastInTable,
                USERS => Mark::FirstInTable,
                n if n + 1 == SNAPSHOT_ROWS => Mark::Last,
                _ => Mark::Middle,
            };
            batch.rows.push(Row { after, op: b'r', present: AFTER, mark, ..Row::default() });
        }
        run.finish(window, wire, vec![users, products]);
        Position([1, 0, 0, 0])
    }

    fn changes(&self, run: &mut Run, most: u64, window: &mut Window) -> Position {
        let mut wire = Wire::default();
        let now = now_ns();
        let has_coupons = run.shop.has_coupons();
        if has_coupons != run.has_coupons {
            (run.orders, run.has_coupons) = (self.orders(&run.shop), has_coupons);
        }
        let (orders, products) = (run.orders.clone(), run.product_changes.clone());
        let mut batches = vec![run.batch(&orders, now), run.batch(&products, now)];
        for _ in 0..most {
            if run.shop.has_coupons() != has_coupons {
                // the schema changed: rows from here on belong to another stream, in a window of their own
                break;
            }
            let at = clock(&run.shop);
            let position = run.shop.event + 1;
            let event = run.shop.step();
            let which = usize::from(matches!(event, Event::Stock(..)));
            let Some(batch) = batches.get_mut(which) else { break };
            let transaction = batch.transactions.len() as u32;
            batch.transactions.push(Transaction { id: position, commit_us: at, last_commit: position - 1 });
            let mut row = Row { position, transaction, ..Row::default() };
            write(&mut wire, batch, &event, has_coupons, &mut row);
            batch.rows.push(row);
            let n = batch.rows.len() as u32;
            window.push_run(which as u16, n - 1, n);
        }
        let runs = std::mem::take(&mut window.runs);
        run.finish(window, wire, batches);
        window.runs = runs;
        Position([1, run.shop.event, 0, 0])
    }

    fn orders(&self, shop: &Shop) -> Arc<Stream> {
        let which = if shop.has_coupons() { Which::OrdersWithCoupon } else { Which::Orders };
        which.stream(&self.prefix, &self.envelope, Op::Change)
    }

    /// Changes that are due by now.
    fn due(&self, run: &Run, limit: u64) -> u64 {
        let left = if self.rows == 0 { u64::MAX } else { self.rows.saturating_sub(run.shop.event) };
        let due = match self.rate {
            0 => u64::MAX,
            rate => {
                let so_far = run.began.elapsed().as_secs_f64() * rate as f64;
                (so_far as u64).saturating_sub(run.shop.event - run.began_at)
            }
        };
        due.min(left).min(limit)
    }
}

fn write(wire: &mut Wire, batch: &mut Batch, event: &Event, has_coupons: bool, row: &mut Row) {
    let mut put = |order| {
        let at = batch.cells.len() as u32;
        wire.order(&mut batch.cells, order, has_coupons);
        at
    };
    match event {
        Event::Placed(o) => {
            row.after = put(o);
            (row.op, row.present) = (b'c', AFTER)
        }
        Event::Changed { before, after } => {
            row.before = put(before);
            row.after = put(after);
            (row.op, row.present) = (b'u', BEFORE | AFTER)
        }
        Event::Deleted(o) => {
            row.before = put(o);
            (row.op, row.present) = (b'd', BEFORE)
        }
        Event::Stock(product, before, after) => {
            row.before = batch.cells.len() as u32;
            wire.product(&mut batch.cells, *product, *before);
            row.after = batch.cells.len() as u32;
            wire.product(&mut batch.cells, *product, *after);
            (row.op, row.present) = (b'u', BEFORE | AFTER)
        }
    }
}

impl Source for Generator {
    fn partition(&self) -> Offset {
        [("server".to_string(), self.prefix.clone().into())].into_iter().collect()
    }

    fn offset(&self, position: &Position) -> Offset {
        let [phase, event, ..] = position.0;
        let mut offset = Offset::new();
        offset.insert("seed".into(), self.seed.into());
        offset.insert("event".into(), event.into());
        offset.insert("snapshot_completed".into(), (phase > 0).into());
        offset
    }

    fn start(&mut self, offset: Option<&Offset>) -> Result<(), Error> {
        let read = |key: &str| offset.and_then(|o| o.get(key)).and_then(|v| v.as_u64());
        if let Some(seed) = read("seed").filter(|s| *s != self.seed) {
            let message = format!("the stored offset belongs to seed {seed}, and `seed` is {}", self.seed);
            return Err(
                Error::input("generator.other-seed", message).help("reset the pipeline's offsets, or set the old seed")
            );
        }
        let mut shop = Shop::new(self.seed, self.change_after);
        let event = read("event").unwrap_or(0);
        (0..event).for_each(|_| {
            shop.step();
        });
        let stream = |which: Which, op| which.stream(&self.prefix, &self.envelope, op);
        self.run = Some(Run {
            snapshot: (self.snapshot && offset.is_none()).then_some(0),
            users: stream(Which::Users, Op::Read),
            products: stream(Which::Products, Op::Read),
            product_changes: stream(Which::Products, Op::Change),
            orders: self.orders(&shop),
            has_coupons: shop.has_coupons(),
            began: Instant::now(),
            began_at: event,
            shop,
            pool: vec![],
        });
        Ok(())
    }

    fn poll(&mut self, wait: Duration, limit: Limit, window: &mut Window) -> Result<Poll, Error> {
        let Some(mut run) = self.run.take() else { return Ok(Poll::End) };
        run.pool.append(&mut window.batches);
        let polled = match run.snapshot.take() {
            Some(from) => Poll::Window(Some(self.snapshot(&mut run, from, window))),
            None if !self.stream || (self.rows > 0 && run.shop.event >= self.rows) => Poll::End,
            None => {
                let due = self.due(&run, limit.rows as u64);
                if due > 0 {
                    Poll::Window(Some(self.changes(&mut run, due, window)))
                } else {
                    let next = Duration::from_secs_f64(1.0 / self.rate.max(1) as f64);
                    std::thread::sleep(wait.min(next));
                    Poll::Idle(None)
                }
            }
        };
        self.run = Some(run);
        Ok(polled)
    }

    fn confirm(&mut self, _: &Position) -> Result<(), Error> {
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn stop(&mut self, _: bool) {
        self.run = None;
    }
}

// === impl Run ===

impl Run {
    fn batch(&mut self, stream: &Arc<Stream>, now: i64) -> Batch {
        match self.pool.pop() {
            Some(mut batch) => {
                batch.reset(stream.clone(), Bytes::new(), now);
                batch
            }
            None => Batch::new(stream.clone(), Bytes::new(), now),
        }
    }

    /// Puts the batches into the window, on one buffer, one run each.
    fn finish(&mut self, window: &mut Window, wire: Wire, batches: Vec<Batch>) {
        let bytes = Bytes::from(wire.bytes);
        window.bytes = bytes.len();
        for mut batch in batches {
            batch.wire = bytes.clone();
            window.push_run(window.batches.len() as u16, 0, batch.rows.len() as u32);
            window.batches.push(batch);
        }
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths of the orders, window by window, where each window takes `most` changes.
    fn widths(most: usize) -> Vec<(u64, usize)> {
        let settings = Settings::new([("snapshot.mode", "no_data"), ("rate", "0"), ("rows", "100")]);
        let mut source = open(&settings, "shop").unwrap();
        source.start(None).unwrap();
        let (mut window, mut seen) = (Window::default(), vec![]);
        let limit = Limit { rows: most, bytes: 1 << 20 };
        while let Poll::Window(_) = source.poll(Duration::ZERO, limit, &mut window).unwrap() {
            let orders = &window.batches[0];
            for row in &orders.rows {
                let rows = u32::from(row.present & BEFORE != 0) + u32::from(row.present & AFTER != 0);
                assert!(rows > 0);
                seen.push((row.position, orders.stream.width));
            }
            let cells: usize = orders.rows.iter().map(|r| (r.present & (BEFORE | AFTER)).count_ones() as usize).sum();
            assert_eq!(orders.cells.len(), cells * orders.stream.width);
            window.runs.clear();
        }
        seen
    }

    /// A window that ends right before the schema changes left the rows behind it in the old shape.
    #[test]
    fn the_schema_changes_at_its_event_wherever_windows_end() {
        let whole = widths(100);
        assert!(whole.iter().all(|(event, width)| *width == if *event > 40 { 8 } else { 7 }), "{whole:?}");
        for most in 1..=45 {
            assert_eq!(widths(most), whole, "{most} a window");
        }
    }
}
