//! A thousand commits a second for half a minute: how old is a row when a consumer has it?

use super::case::{Run, now_us};
use super::report::Figure;
use crate::process;
use anyhow::{Context, Result};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const RATE: u64 = 1000;
const SECONDS: u64 = 30;
/// Rows of the warm-up's snapshot, and again of its stream.
const WARM: u64 = 20_000;
const LIMIT: Duration = Duration::from_secs(90);

pub fn measure(run: &mut Run<'_>) -> Result<Figure> {
    let base = run.warm_up(WARM)?;
    let consumer = run.stage.cluster.consumer()?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&run.topic, 0, Offset::Offset(i64::try_from(base)?))?;
    consumer.assign(&place)?;

    let id = run.system.id().context("the system runs")?;
    process::reset_peak(id);
    let before = process::cpu_seconds(id)?;
    let mut writer = run.stage.client(&run.database.name)?;
    let mut ages = Vec::with_capacity(usize::try_from(RATE * SECONDS)?);
    std::thread::scope(|scope| -> Result<()> {
        let writing = scope.spawn(move || -> Result<()> {
            // `amount` has no part in it: the time is the statement's, taken just before its commit
            let insert = writer.prepare(
                "INSERT INTO events (id, qty, name) VALUES ($1, 500, \
                 (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text)",
            )?;
            let start = Instant::now();
            for n in 0..RATE * SECONDS {
                let due = start + Duration::from_micros(n * 1_000_000 / RATE);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                writer.execute(&insert, &[&i64::try_from(2 * WARM + 1 + n)?])?;
            }
            Ok(())
        });
        let deadline = Instant::now() + LIMIT;
        while ages.len() < ages.capacity() && Instant::now() < deadline {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let now = now_us();
            let message = message?;
            let at = message.payload().and_then(written).context("a record without its time")?;
            ages.push(now - at);
        }
        writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
    })?;
    anyhow::ensure!(ages.len() as u64 == RATE * SECONDS, "{} of {} records", ages.len(), RATE * SECONDS);
    let cpu = process::cpu_seconds(id)? - before;
    ages.sort_unstable();
    Ok(Figure {
        events: ages.len() as u64,
        cpu_seconds: Some(cpu),
        rss_peak_mb: process::peak_mb(id),
        latency_p50_ms: percentile(&ages, 50),
        latency_p99_ms: percentile(&ages, 99),
        ..Figure::default()
    })
}

/// Milliseconds that `percent` of the ages, sorted and in microseconds, do not exceed.
pub fn percentile(ages: &[i64], percent: usize) -> Option<f64> {
    ages.get((ages.len() * percent / 100).min(ages.len().saturating_sub(1))).map(|us| *us as f64 / 1000.0)
}

/// The digits of `"name":"…"` of the row after the change.
pub fn written(value: &[u8]) -> Option<i64> {
    const FIELD: &[u8] = b"\"name\":\"1";
    let at = value.windows(FIELD.len()).position(|w| w == FIELD)? + FIELD.len() - 1;
    let digits = value.get(at..)?;
    let end = digits.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_in_an_envelope() {
        let value = br#"{"before":null,"after":{"id":1,"name":"1763000000000001"},"source":{"name":"bench1"}}"#;
        assert_eq!(written(value), Some(1_763_000_000_000_001));
        assert_eq!(written(b"{}"), None);
    }
}
