//! The shop in the demo's PostgreSQL: its tables, and a thread that keeps changing them.

use crate::demo::server::Server;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use weir_api::Error;
use weir_generator::Script;
use weir_postgres::Connection;
use weir_store::{Embedded, Store};

pub const DATABASE: &str = "shop";
const LOOK: Duration = Duration::from_millis(50);

/// Whoever changes the shop.
pub struct Shop {
    connection: Connection,
    script: Script,
    /// changes a second; 0: as many as it can
    rate: u32,
    /// the end, counted from the first change of all
    rows: Option<u64>,
}

// === impl Shop ===

impl Shop {
    /// Connects, and makes what is not there yet.
    pub fn open(server: &Server, rate: u32, rows: Option<u64>) -> Result<Shop, Error> {
        let mut any = server.connect(weir_local::cluster::SUPERUSER)?;
        if any.simple_query(&format!("SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"))?.is_empty() {
            any.simple_query(&format!("CREATE DATABASE {DATABASE}"))?;
        }
        let mut connection = server.connect(DATABASE)?;
        if number(&mut connection, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('public.progress')")? == 0 {
            // How far the shop has come is changed with its rows, in their transactions: killed, it goes on where it was.
            let sql = format!(
                "BEGIN; {} CREATE TABLE public.progress (events bigint NOT NULL, lsn pg_lsn NOT NULL);
                 INSERT INTO public.progress VALUES (0, pg_current_wal_insert_lsn()); COMMIT",
                Script::tables()
            );
            connection.simple_query(&sql)?;
        }
        let events = number(&mut connection, "SELECT events FROM public.progress")?;
        Ok(Shop { connection, script: Script::after(events), rate, rows })
    }

    /// Changes rows until `stop`, or until all are made and the pipeline has stored that it delivered them.
    pub fn run(mut self, pipeline: &str, store: &Embedded, stop: &AtomicBool) -> Result<(), Error> {
        let (began, first) = (Instant::now(), self.script.events());
        while !stop.load(Relaxed) && self.rows.is_none_or(|rows| self.script.events() < rows) {
            let so_far = self.script.events() - first;
            if self.rate > 0 && began.elapsed().as_secs_f64() * f64::from(self.rate) < so_far as f64 {
                std::thread::sleep(LOOK.min(Duration::from_secs_f64(1.0 / f64::from(self.rate))));
                continue;
            }
            let change = self.script.next_event();
            let events = self.script.events();
            let progress = format!("UPDATE public.progress SET events = {events}, lsn = pg_current_wal_insert_lsn()");
            self.connection.simple_query(&format!("BEGIN; {change} {progress}; COMMIT"))?;
        }
        let last = number(&mut self.connection, "SELECT lsn - '0/0'::pg_lsn FROM public.progress")?;
        while !stop.load(Relaxed) && delivered(pipeline, store)? < last {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Up to where the pipeline's records are safe.
fn delivered(pipeline: &str, store: &Embedded) -> Result<u64, Error> {
    let stored = store.load(pipeline)?.unwrap_or_default();
    Ok(stored.offsets.first().and_then(|o| o.offset.get("lsn")).and_then(|lsn| lsn.as_u64()).unwrap_or(0))
}

fn number(connection: &mut Connection, sql: &str) -> Result<u64, Error> {
    let rows = connection.simple_query(sql)?;
    let text = rows.first().and_then(|row| row.first()).and_then(|field| field.as_deref());
    text.and_then(|t| t.parse().ok()).ok_or_else(|| {
        Error::environment("demo.shop", "the demo's database is not as it was made").help("--reset makes a new one")
    })
}
