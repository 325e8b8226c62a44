//! How far snapshots are, as people see it: a bar at a terminal, a line now and then in a log.

use indicatif::{HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tracing::info;
use weir_runtime::Reading;

/// Of one pipeline.
pub struct Shown {
    name: String,
    bar: Option<ProgressBar>,
    /// when the last line was written, and at which tenth
    told: Option<(Instant, u64)>,
    is_terminal: bool,
}

/// Standard error beside the bars: what is written is not written into them.
pub struct Aside;

/// A line comes at least so often,
const OFTEN: Duration = Duration::from_secs(10);
/// and with every tenth, but no more often than this.
const SELDOM: Duration = Duration::from_secs(1);

fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Whether bars are for anybody: `records`: standard output has records of a pipeline.
pub fn at_terminal(records: bool) -> bool {
    io::stderr().is_terminal() && !(records && io::stdout().is_terminal())
}

/// How it gets on and where it is: `1,200 of ~4,000 rows, 600/s, 5s left: public.orders (2 of 5)`.
fn text(reading: &Reading) -> String {
    let p = &reading.progress;
    let of = p.rows_total.map_or(String::new(), |n| format!(" of ~{}", HumanCount(n.max(p.rows))));
    let mut text = format!("{}{of} rows", HumanCount(p.rows));
    if reading.rows_per_second >= 1.0 {
        text.push_str(&format!(", {}/s", HumanCount(reading.rows_per_second as u64)));
    }
    if let Some(left) = reading.left() {
        text.push_str(&format!(", {:#} left", HumanDuration(left)));
    }
    text + &format!(": {} ({} of {})", p.table, (p.tables_done + 1).min(p.tables), p.tables)
}

// === impl Shown ===

impl Shown {
    pub fn new(name: &str, is_terminal: bool) -> Self {
        Shown { name: name.into(), bar: None, told: None, is_terminal }
    }

    /// None: no snapshot is read.
    pub fn show(&mut self, reading: Option<&Reading>) {
        let Some(reading) = reading else {
            self.end();
            return;
        };
        match self.is_terminal {
            true => self.draw(reading),
            false => self.tell(reading, Instant::now()),
        }
    }

    fn draw(&mut self, reading: &Reading) {
        let form = match reading.progress.rows_total {
            Some(_) => "{prefix} [{bar:20}] {percent:>3}% {wide_msg}",
            None => "{prefix} {spinner} {wide_msg}",
        };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::no_length().with_prefix(self.name.clone());
            // the forms are fine, and without them there would be the usual one
            if let Ok(style) = ProgressStyle::with_template(form) {
                bar.set_style(style.progress_chars("=> "));
            }
            bars().add(bar)
        });
        let text = text(reading);
        if bar.message() != text {
            bar.set_message(text);
            bar.set_position(reading.progress.rows);
            reading.progress.rows_total.into_iter().for_each(|total| bar.set_length(total.max(reading.progress.rows)));
        }
    }

    fn tell(&mut self, reading: &Reading, now: Instant) {
        let p = &reading.progress;
        let tenth = p.rows_total.filter(|t| *t > 0).map_or(0, |t| p.rows * 10 / t);
        let Some((at, tenths)) = self.told else {
            self.told = Some((now, tenth));
            return;
        };
        let since = now.saturating_duration_since(at);
        if since >= OFTEN || (tenth > tenths && since >= SELDOM) {
            self.told = Some((now, tenth));
            info!(pipeline = self.name, "snapshot: {}", text(reading));
        }
    }

    fn end(&mut self) {
        self.told = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            bars().remove(&bar);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end()
    }
}

// === impl Aside ===

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bars().suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::Progress;

    #[test]
    fn where_it_is_and_how_it_gets_on() {
        let progress = Progress {
            rows: 1_200_000,
            rows_total: Some(4_200_000),
            tables_done: 1,
            tables: 5,
            table: "public.orders".into(),
        };
        let reading = Reading { progress: progress.clone(), rows_per_second: 600_000.4 };
        let said = "1,200,000 of ~4,200,000 rows, 600,000/s, 5s left: public.orders (2 of 5)";
        assert_eq!(text(&reading), said);
        let progress = Progress { rows_total: None, tables_done: 5, ..progress };
        let reading = Reading { progress, rows_per_second: 0.0 };
        assert_eq!(text(&reading), "1,200,000 rows: public.orders (5 of 5)");
    }

    #[test]
    fn a_line_comes_with_a_tenth_or_after_ten_seconds() {
        let mut shown = Shown::new("p", false);
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut told = |rows, at| {
            let progress = Progress { rows, rows_total: Some(100), ..Progress::default() };
            shown.tell(&Reading { progress, rows_per_second: 1.0 }, began + at);
            shown.told == Some((began + at, rows / 10))
        };
        assert!(told(0, second), "from where on lines are counted");
        assert!(!told(30, second + second / 2), "too soon");
        assert!(told(30, second * 2));
        assert!(!told(31, second * 11));
        assert!(told(31, second * 12));
    }
}
