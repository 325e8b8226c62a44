//! How many records a second the sink takes, what CPU they cost, and how long one record alone takes.
//!
//! `cargo run --release -p weir-kafka --example throughput -- [records] [name=value …]`, with a real Kafka by `weir-testkit`.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_api::{Block, Largest, Record, Route, Settings, Sink};
use weir_testkit::Kafka;

const BLOCK: usize = 500;
const VALUE: usize = 300;
const HEADERS: [(&str, &[u8]); 4] =
    [("__op", b"c"), ("__table", b"public.orders"), ("__lsn", b"26730048"), ("trace", b"0123456789abcdef")];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let records = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(1_000_000_usize);
    let kafka = Kafka::start()?;
    let mut settings = vec![("bootstrap.servers", kafka.bootstrap()), ("topic.creation.default.partitions", "4")];
    settings.push(("topic.creation.default.replication.factor", "1"));
    settings.extend(arguments.iter().filter_map(|a| a.split_once('=')));
    let mut sink = weir_kafka::open(&Settings::new(settings), "throughput", &Largest::default())?;
    burst(&mut *sink, 10_000, 0)?;
    let (cpu, start) = (cpu(), Instant::now());
    burst(&mut *sink, records, 1_000_000)?;
    let (cpu, wall) = (self::cpu() - cpu, start.elapsed().as_secs_f64());
    println!("{records} records in {wall:.2} s: {:.0} records/s", records as f64 / wall);
    println!("CPU {cpu:.2} s: {:.2} µs a record", cpu / records as f64 * 1e6);
    let mut times = (0..1000).map(|i| alone(&mut *sink, 2_000_000 + i)).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    let at = |q: usize| times.get(times.len() * q / 1000).copied().unwrap_or_default();
    println!("one record alone: p50 {:?}, p99 {:?}", at(500), at(990));
    Ok(())
}

/// Delivers records as fast as they are taken, and waits for the last acknowledgement.
fn burst(sink: &mut dyn Sink, records: usize, first_id: u64) -> Result<(), Box<dyn Error>> {
    let mut done = Vec::new();
    for (id, from) in (first_id..).zip((0..records).step_by(BLOCK)) {
        let block = block(id, from, BLOCK.min(records - from));
        let mut taken = 0;
        loop {
            taken = sink.deliver(&block, taken)?;
            let full = taken < block.records.len();
            sink.poll(if full { Duration::from_millis(5) } else { Duration::ZERO }, &mut done)?;
            if !full {
                break;
            }
        }
    }
    sink.flush(Instant::now() + Duration::from_secs(300), &mut done)?;
    Ok(())
}

fn alone(sink: &mut dyn Sink, id: u64) -> Result<Duration, Box<dyn Error>> {
    let (block, start, mut done) = (block(id, id as usize, 1), Instant::now(), Vec::new());
    sink.deliver(&block, 0)?;
    while done.is_empty() {
        sink.poll(Duration::from_millis(100), &mut done)?;
    }
    Ok(start.elapsed())
}

fn block(id: u64, first: usize, count: usize) -> Arc<Block> {
    let names = HEADERS.iter().map(|(n, _)| Arc::from(*n)).collect();
    let route = Arc::new(Route { topic: "throughput".into(), headers: names });
    let mut data = Vec::with_capacity(count * (8 + VALUE + 40));
    let (mut records, mut header_ends) = (Vec::with_capacity(count), Vec::with_capacity(count * HEADERS.len()));
    for n in first..first + count {
        let start = data.len() as u32;
        data.extend_from_slice(&(n as u64).to_be_bytes());
        let key = data.len() as u32;
        data.resize(data.len() + VALUE, b'a' + (n % 26) as u8);
        let value = data.len() as u32;
        let headers = header_ends.len() as u32;
        for (_, bytes) in HEADERS {
            data.extend_from_slice(bytes);
            header_ends.push(data.len() as u32);
        }
        let has = Record::KEY | Record::VALUE;
        records.push(Record { route: 0, has, start, key, value, headers, partition: -1, timestamp: 1_700_000_000_000 });
    }
    Arc::new(Block { id, data, records, header_ends, routes: Arc::new([route]) })
}

/// CPU seconds of this process: user and system, from the kernel's own account (hundredths of a second).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
