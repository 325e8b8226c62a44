//! What `/metrics` and `/health` say of the pipelines that run.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_runtime::{Counters, State, Totals};
use weir_telemetry::{Report, Sample, Value};

/// Pipelines by name.
pub struct Pipelines(pub Vec<(String, Arc<Counters>)>);

/// The code of a pipeline's steps, and what it costs.
fn code(pipeline: &str, t: &Totals) -> Vec<Sample> {
    let labels = |step: &str, more: Option<(&'static str, &str)>| {
        let both = [("pipeline", pipeline.to_string()), ("step", step.to_string())];
        both.into_iter().chain(more.map(|(k, v)| (k, v.to_string()))).collect::<Vec<_>>()
    };
    let mut out = vec![];
    for ((step, is_swapped), n) in &t.reloads {
        let result = if *is_swapped { "swapped" } else { "refused" };
        let help = "New code for a step: taken, or refused while what ran goes on.";
        let labels = labels(step, Some(("result", result)));
        out.push(Sample { name: "weir_reload", help, labels, value: Value::Counter(*n) })
    }
    for (step, module) in &t.modules {
        let (help, labels) = ("The code that a step runs.", labels(step, Some(("module", module))));
        out.push(Sample { name: "weir_step_module_info", help, labels, value: Value::Gauge(1.0) })
    }
    for (step, usage) in &t.usage {
        let help = "Bytes of memory that a step's guest has.";
        let value = Value::Gauge(usage.memory as f64);
        out.push(Sample { name: "weir_guest_memory_bytes", help, labels: labels(step, None), value });
        let help = "Guests begun anew because their memory had grown too big.";
        let value = Value::Counter(usage.recycled);
        out.push(Sample { name: "weir_guest_recycled", help, labels: labels(step, None), value })
    }
    out
}

// === impl Pipelines ===

impl Report for Pipelines {
    fn samples(&self) -> Vec<Sample> {
        let mut out = vec![];
        for (name, counters) in &self.0 {
            let t = counters.totals();
            let labels = || vec![("pipeline", name.clone())];
            let mut counter =
                |name, help, n| out.push(Sample { name, help, labels: labels(), value: Value::Counter(n) });
            counter("weir_rows", "Rows that came from the source.", t.rows);
            counter("weir_records", "Records handed to the sink.", t.records);
            counter("weir_record_bytes", "Bytes of keys, values and headers.", t.bytes);
            counter("weir_windows", "Windows of rows.", t.windows);
            counter("weir_blocks_durable", "Blocks of records that the sink acknowledged.", t.durable);
            counter("weir_offsets_stored", "Offsets stored.", t.stored);
            counter("weir_retries", "Starts after an error that may heal.", t.retries);
            let mut gauge = |name, help, n| out.push(Sample { name, help, labels: labels(), value: Value::Gauge(n) });
            gauge("weir_running", "1 while the pipeline runs.", f64::from(u8::from(t.state == State::Running)));
            if t.last_change_ms > 0 {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
                gauge(
                    "weir_last_change_age_seconds",
                    "Age of the last change delivered.",
                    (now - t.last_change_ms).max(0) as f64 / 1000.0,
                );
            }
            if let Some(bytes) = t.lag_bytes {
                gauge(
                    "weir_source_retained_bytes",
                    "Bytes of its log that the database keeps for the pipeline.",
                    bytes as f64,
                );
            }
            if let Some(reading) = &t.progress {
                let p = &reading.progress;
                gauge("weir_snapshot_rows", "Rows of the snapshot read so far.", p.rows as f64);
                if let Some(rows) = p.rows_total {
                    gauge(
                        "weir_snapshot_rows_expected",
                        "Rows of the snapshot, as the database estimates.",
                        rows as f64,
                    );
                }
                gauge("weir_snapshot_rows_per_second", "How fast the snapshot is read.", reading.rows_per_second);
                if let Some(left) = reading.left() {
                    gauge(
                        "weir_snapshot_seconds_left",
                        "What the snapshot still takes at this pace.",
                        left.as_secs_f64(),
                    );
                }
                gauge("weir_snapshot_tables", "Tables of the snapshot.", p.tables as f64);
                gauge("weir_snapshot_tables_done", "Tables of the snapshot that are read.", p.tables_done as f64);
            }
            for ((step, rule), n) in &t.dropped {
                let labels = vec![("pipeline", name.clone()), ("step", step.to_string()), ("rule", rule.to_string())];
                let help = "Rows dropped by a rule of a transform, or of the source.";
                out.push(Sample { name: "weir_dropped", help, labels, value: Value::Counter(*n) })
            }
            for (step, n) in &t.skipped {
                let labels = vec![("pipeline", name.clone()), ("step", step.to_string())];
                let help = "Rows that a step could not take, skipped by its policy.";
                out.push(Sample { name: "weir_skipped", help, labels, value: Value::Counter(*n) })
            }
            for ((step, code), n) in &t.dead_letters {
                let labels = vec![("pipeline", name.clone()), ("step", step.to_string()), ("code", code.to_string())];
                let help = "Rows that a step could not take, sent to the dead letters.";
                out.push(Sample { name: "weir_dead_letters", help, labels, value: Value::Counter(*n) })
            }
            out.extend(code(name, &t))
        }
        out
    }

    fn health(&self) -> Result<(), String> {
        let sick = |(name, counters): &(String, Arc<Counters>)| {
            let t = counters.totals();
            let why = t.error.map_or(String::new(), |(code, message)| format!(": [{code}] {message}"));
            match t.state {
                State::Failed => Some(format!("{name} has failed{why}")),
                State::Retrying => Some(format!("{name} is retrying{why}")),
                State::Starting | State::Running | State::Stopped => None,
            }
        };
        match self.0.iter().find_map(sick) {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }
}
