//! Figures, for people and for programs.

use serde_json::{Value, json};
use std::fmt::Write;

/// What one run of one case gave; none where the case does not ask.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    pub case: &'static str,
    pub system: &'static str,
    /// records in the topic
    pub events: u64,
    /// records that came more than once
    pub repeated: u64,
    /// first to last record, by the broker's clock
    pub seconds: Option<f64>,
    /// of the whole process, while the case ran
    pub cpu_seconds: Option<f64>,
    pub walsender_cpu_seconds: Option<f64>,
    pub rss_peak_mb: Option<f64>,
    /// start of the process to the first record in the topic
    pub start_ms: Option<f64>,
    pub latency_p50_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    /// mean size of key and value
    pub bytes_per_event: Option<f64>,
    /// runnable processes when the run began and when it ended
    pub load: (f64, f64),
}

// === impl Figure ===

impl Figure {
    pub fn json(&self) -> Value {
        let round = |x: Option<f64>| x.map(|x| (x * 1000.0).round() / 1000.0);
        json!({
            "case": self.case,
            "system": self.system,
            "events": self.events,
            "seconds": round(self.seconds),
            "cpu_seconds": round(self.cpu_seconds),
            "walsender_cpu_seconds": round(self.walsender_cpu_seconds),
            "rss_peak_mb": round(self.rss_peak_mb),
            "start_ms": round(self.start_ms),
            "latency_p50_ms": round(self.latency_p50_ms),
            "latency_p99_ms": round(self.latency_p99_ms),
            "repeated": self.repeated,
            "bytes_per_event": round(self.bytes_per_event),
            "load": [self.load.0, self.load.1],
        })
    }

    fn per_second(&self) -> Option<f64> {
        self.seconds.filter(|s| *s > 0.0).map(|s| self.events as f64 / s)
    }

    fn per_event_us(&self) -> Option<f64> {
        self.cpu_seconds.filter(|_| self.events > 0).map(|s| s * 1e6 / self.events as f64)
    }

    /// A row of the table.
    pub fn line(&self) -> String {
        let cell = |x: Option<f64>, digits: usize| x.map_or("-".into(), |x| format!("{x:.digits$}"));
        let mut line = format!("{:<16} {:<9} {:>9}", self.case, self.system, self.events);
        for (value, width, digits) in [
            (self.seconds, 8, 2),
            (self.per_second(), 9, 0),
            (self.cpu_seconds, 8, 2),
            (self.per_event_us(), 8, 2),
            (self.walsender_cpu_seconds, 8, 2),
            (self.rss_peak_mb, 8, 0),
            (self.start_ms, 8, 0),
            (self.latency_p50_ms, 8, 2),
            (self.latency_p99_ms, 8, 2),
            (self.bytes_per_event, 7, 0),
        ] {
            // nothing can be done about a String that refuses to grow
            let _ = write!(line, " {:>width$}", cell(value, digits));
        }
        let _ = write!(line, " {:>5.1}/{:.1}", self.load.0, self.load.1);
        if self.repeated > 0 {
            let _ = write!(line, "  {} came again", self.repeated);
        }
        line
    }
}

/// One of a figure's numbers.
type Measure = fn(&Figure) -> Option<f64>;

const HEAD: &str = "case             system       events  seconds  events/s    cpu s   us/evt  wal cpu   rss MB start ms   p50 ms   p99 ms bytes/e load";

/// All runs, and how many times better than Debezium Weir was in each case that both ran (best runs).
pub fn table(figures: &[Figure]) -> String {
    let mut text = format!("{HEAD}\n");
    for figure in figures {
        text.push_str(&figure.line());
        text.push('\n');
    }
    let mut cases: Vec<&str> = figures.iter().map(|f| f.case).collect();
    cases.dedup();
    for case in cases {
        let best = |system: &str, of: Measure| {
            let values = figures.iter().filter(|f| f.case == case && f.system == system).filter_map(of);
            values.min_by(f64::total_cmp)
        };
        let ratio = |of: Measure| match (best("weir", of), best("debezium", of)) {
            (Some(ours), Some(theirs)) if ours > 0.0 => Some(theirs / ours),
            _ => None,
        };
        let parts: [(&str, Measure); 6] = [
            ("time", |f| f.seconds),
            ("cpu", |f| f.cpu_seconds),
            ("memory", |f| f.rss_peak_mb),
            ("start", |f| f.start_ms),
            ("p50", |f| f.latency_p50_ms),
            ("p99", |f| f.latency_p99_ms),
        ];
        let ratios: Vec<String> =
            parts.iter().filter_map(|(name, of)| Some(format!("{name} {:.1}x", ratio(*of)?))).collect();
        if !ratios.is_empty() {
            let _ = writeln!(text, "{case}: Debezium / weir: {}", ratios.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_take_the_best_runs() {
        let run =
            |system, seconds| Figure { case: "c", system, events: 10, seconds: Some(seconds), ..Figure::default() };
        let text = table(&[run("weir", 2.0), run("weir", 1.0), run("debezium", 8.0)]);
        assert!(text.contains("c: Debezium / weir: time 8.0x\n"), "{text}");
        assert!(run("weir", 1.0).json().get("latency_p50_ms").unwrap().is_null());
    }
}
