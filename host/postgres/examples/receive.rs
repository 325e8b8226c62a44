//! Measures reception alone: rows per second and CPU of both sides, with the adaptive watermark and without, with TLS and
//! without; then COPY, and how late one row arrives after an idle time. Prints one line for each.
//!
//! `cargo run --release -p weir-postgres --example receive [rows]`

use std::error::Error;
use std::time::{Duration, Instant};

use weir_postgres::{ConnectOptions, Connection, Frames, Replication, SslMode, WatermarkPolicy};
use weir_testkit::Postgres;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, c varchar, d numeric(12,2), e float8,
    f timestamptz, g boolean, h uuid, i jsonb); CREATE PUBLICATION p FOR TABLE t";
const OPTIONS: [(&str, &str); 2] = [("proto_version", "1"), ("publication_names", "p")];

fn main() -> Result<()> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let server = Postgres::builder().tls().setting("shared_buffers", "2GB").start()?;
    server.sql(TABLE)?;
    // One slot for each run, made before the rows: each decodes the same log.
    let runs = [
        ("plain, adaptive", SslMode::Disable, WatermarkPolicy::Adaptive),
        ("plain, off", SslMode::Disable, WatermarkPolicy::Off),
        ("tls, adaptive", SslMode::Require, WatermarkPolicy::Adaptive),
        ("tls, off", SslMode::Require, WatermarkPolicy::Off),
        ("plain, adaptive", SslMode::Disable, WatermarkPolicy::Adaptive),
        ("plain, off", SslMode::Disable, WatermarkPolicy::Off),
    ];
    for run in 0..runs.len() {
        server.sql(&format!("SELECT pg_create_logical_replication_slot('s{run}', 'pgoutput')"))?;
    }
    for part in 0..10 {
        let (from, to) = (part * rows / 10 + 1, (part + 1) * rows / 10);
        server.sql(&format!(
            "INSERT INTO t SELECT i, i % 1000, 'customer ' || i, 'street ' || i % 97, i * 1.25, i / 7.0,
             '2026-01-01'::timestamptz + i * interval '1 second', i % 2 = 0, gen_random_uuid(),
             jsonb_build_object('n', i, 'tags', '[\"a\", \"b\"]'::jsonb) FROM generate_series({from}, {to}) i"
        ))?;
    }
    let options = |sslmode, replication| ConnectOptions {
        host: "127.0.0.1".into(),
        port: server.port(),
        sslmode,
        replication,
        ..ConnectOptions::default()
    };
    for (run, (name, sslmode, policy)) in runs.into_iter().enumerate() {
        let connection = Connection::connect(&options(sslmode, true))?;
        let backend = connection.backend();
        let mut stream = connection.into_replication(&format!("s{run}"), 0, &OPTIONS)?;
        stream.set_watermark_policy(policy);
        let (began, client, sender) = (Instant::now(), cpu("self")?, cpu(&backend.to_string())?);
        let (seen, bytes, reads) = receive(&mut stream, rows)?;
        let wall = began.elapsed().as_secs_f64();
        let (client, sender) = (cpu("self")? - client, cpu(&backend.to_string())? - sender);
        println!(
            "{name:16} {seen} rows in {wall:.2} s: {:.0} rows/s, {:.1} MB/s, {reads} reads, client {client:.2} s CPU, walsender {sender:.2} s CPU",
            seen as f64 / wall,
            bytes as f64 / wall / 1e6
        );
        delays(&server, &mut stream, name)?;
        stream.stop()?;
    }
    for sslmode in [SslMode::Disable, SslMode::Require] {
        let mut connection = Connection::connect(&options(sslmode, false))?;
        let (began, client) = (Instant::now(), cpu("self")?);
        let (mut buffer, mut bytes) = (Vec::new(), 0);
        let mut copy = connection.copy_out("COPY t TO STDOUT (FORMAT binary)")?;
        while let Some(read) = copy.next(&mut buffer)? {
            bytes += read;
            buffer.clear();
        }
        let (wall, seen) = (began.elapsed().as_secs_f64(), copy.rows().unwrap_or_default());
        println!(
            "copy, tls {sslmode:8} {seen} rows in {wall:.2} s: {:.0} rows/s, {:.1} MB/s, client {:.2} s CPU",
            seen as f64 / wall,
            bytes as f64 / wall / 1e6,
            cpu("self")? - client
        );
    }
    Ok(())
}

/// Inserts, bytes and reads up to the tenth commit.
fn receive(stream: &mut Replication, rows: u64) -> Result<(u64, usize, u64)> {
    let (mut buffer, mut inserts, mut bytes, mut reads) = (Vec::new(), 0, 0, 0);
    let (mut commits, mut said) = (0, Instant::now());
    while commits < 10 || inserts < rows {
        bytes += stream.read(&mut buffer, Duration::from_millis(100))?;
        reads += 1;
        let mut frames = Frames::new(&buffer);
        for frame in frames.by_ref() {
            match frame.body.get(25) {
                Some(b'I') if frame.body.first() == Some(&b'w') => inserts += 1,
                Some(b'C') if frame.body.first() == Some(&b'w') => commits += 1,
                _ => {}
            }
        }
        let rest = buffer.len() - frames.rest().len();
        buffer.drain(..rest);
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            stream.send_status(0, 0, 0, false)?;
        }
    }
    Ok((inserts, bytes, reads))
}

/// From just before a row's commit to its arrival, on an idle stream.
fn delays(server: &Postgres, stream: &mut Replication, name: &str) -> Result<()> {
    let mut session = Connection::connect(&ConnectOptions {
        host: "127.0.0.1".into(),
        port: server.port(),
        sslmode: SslMode::Disable,
        ..ConnectOptions::default()
    })?;
    let mut delays = Vec::new();
    for _ in 0..50 {
        let mut buffer = Vec::new();
        // Idle for as long as it takes to be quite idle.
        while stream.read(&mut buffer, Duration::from_millis(20))? > 0 {}
        buffer.clear();
        let began = Instant::now();
        let waiting = std::thread::spawn(move || {
            let done = session.simple_query("UPDATE t SET a = a + 1 WHERE id = 1");
            (session, done)
        });
        while !Frames::new(&buffer).any(|f| f.body.first() == Some(&b'w') && f.body.get(25) == Some(&b'C')) {
            stream.read(&mut buffer, Duration::from_millis(100))?;
        }
        delays.push(began.elapsed());
        let (back, done) = waiting.join().map_err(|_| "the writer panicked")?;
        done?;
        session = back;
    }
    delays.sort();
    let at = |i: usize| delays.get(i).copied().unwrap_or_default();
    println!("{name:16} one row after idle: median {:?}, worst of 50 {:?}", at(25), at(49));
    Ok(())
}

/// Seconds of user and system time of a process and its threads.
fn cpu(process: &str) -> Result<f64> {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
