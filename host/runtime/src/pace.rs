//! How fast a snapshot is read, and when it will have been: one model, which bars, logs and metrics show.

use std::time::{Duration, Instant};
use weir_api::Progress;

/// A snapshot under way.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reading {
    pub progress: Progress,
    /// of the last [`SPAN`] or so; 0: not known yet
    pub rows_per_second: f64,
}

/// Rows a second, more of them of late.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    at: Instant,
    rows: u64,
    rate: Option<f64>,
}

/// Looked at no more often than this: windows come in bursts.
const STEP: Duration = Duration::from_secs(1);
/// What lies so far back counts a third.
const SPAN: Duration = Duration::from_secs(10);

// === impl Reading ===

impl Reading {
    /// How long it still takes, if the estimate of its rows is right. None: nobody knows.
    pub fn left(&self) -> Option<Duration> {
        let rows = self.progress.rows_total?.checked_sub(self.progress.rows)?;
        let seconds = rows as f64 / self.rows_per_second;
        Duration::try_from_secs_f64(seconds).ok().filter(|_| self.rows_per_second > 0.0)
    }
}

// === impl Pace ===

impl Pace {
    pub fn begin(rows: u64, now: Instant) -> Self {
        Pace { at: now, rows, rate: None }
    }

    /// So many rows are read by now. Returns rows a second.
    pub fn see(&mut self, rows: u64, now: Instant) -> f64 {
        if rows < self.rows {
            // another snapshot
            *self = Pace::begin(rows, now);
        }
        let since = now.saturating_duration_since(self.at);
        if since >= STEP {
            let fresh = (rows - self.rows) as f64 / since.as_secs_f64();
            let weight = 1.0 - (-since.as_secs_f64() / SPAN.as_secs_f64()).exp();
            let rate = self.rate.map_or(fresh, |before| before + (fresh - before) * weight);
            *self = Pace { at: now, rows, rate: Some(rate) };
        }
        self.rate.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_follows_what_is_read_and_an_end_is_foreseen() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::begin(1000, began);
        assert_eq!(pace.see(1500, began + second / 2), 0.0, "too early to say");
        assert_eq!(pace.see(3000, began + second), 2000.0);
        // twice as fast for a minute: it comes near
        let mut last = 0.0;
        for n in 1..=60 {
            last = pace.see(3000 + u64::from(n) * 4000, began + second * (n + 1));
        }
        assert!((3900.0..4000.0).contains(&last), "{last}");
        let progress = Progress { rows: 10_000, rows_total: Some(30_000), ..Progress::default() };
        let reading = Reading { progress, rows_per_second: 2000.0 };
        assert_eq!(reading.left(), Some(second * 10));
        assert_eq!(Reading { rows_per_second: 0.0, ..reading.clone() }.left(), None);
        let more = Progress { rows: 30_001, ..reading.progress.clone() };
        assert_eq!(Reading { progress: more, ..reading }.left(), None, "the estimate was too low");
        assert_eq!(pace.see(5, began + second * 90), 0.0, "another snapshot");
    }
}
