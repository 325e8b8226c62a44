//! `host.log`: a guest's lines, with the step's name, rate and length limited.

use crate::wit::Level;
use std::collections::VecDeque;
use std::time::Instant;
use weir_model::Name;

/// Where the lines of one instance go.
pub(crate) struct Log {
    step: String,
    rate: u32,
    line: usize,
    /// lines that may still be written; refilled with time
    left: f64,
    filled: Instant,
    suppressed: u64,
    /// the last lines of the call under way, for the dead letter of a row that fails in it
    recent: VecDeque<String>,
}

/// Lines of a call that are kept.
const MOST_RECENT: usize = 20;

// === impl Log ===

impl Log {
    pub fn new(step: &str, rate: u32, line: usize) -> Self {
        let left = rate as f64 * 10.0;
        Log { step: step.into(), rate, line, left, filled: Instant::now(), suppressed: 0, recent: VecDeque::new() }
    }

    pub fn write(&mut self, level: Level, message: &str) {
        self.keep(message);
        if !self.may() {
            self.suppressed += 1;
            return;
        }
        if self.suppressed > 0 {
            let lines = std::mem::take(&mut self.suppressed);
            tracing::warn!(target: "weir::guest", step = %self.step, lines, "log lines left out: the guest writes too many");
        }
        let message = shorten(message, self.line);
        let step = &self.step;
        match level {
            Level::Debug => tracing::debug!(target: "weir::guest", %step, "{message}"),
            Level::Info => tracing::info!(target: "weir::guest", %step, "{message}"),
            Level::Warn => tracing::warn!(target: "weir::guest", %step, "{message}"),
            Level::Error => tracing::error!(target: "weir::guest", %step, "{message}"),
        }
    }

    fn keep(&mut self, message: &str) {
        if self.recent.len() >= MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(shorten(message, self.line))
    }

    /// A call begins.
    #[inline]
    pub fn begin(&mut self) {
        if !self.recent.is_empty() {
            self.recent.clear()
        }
    }

    /// The last lines of the call; None: it wrote none.
    pub fn recent(&self) -> Option<Name> {
        let lines: Vec<&str> = self.recent.iter().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("\n").into())
    }

    fn may(&mut self) -> bool {
        let now = Instant::now();
        let more = now.duration_since(self.filled).as_secs_f64() * self.rate as f64;
        self.left = (self.left + more).min(self.rate as f64 * 10.0);
        self.filled = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0
        }
        may
    }
}

/// The head of a text, up to so many bytes, on one line.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1
    }
    let head = text.get(..end).unwrap_or_default();
    let mut line: String = head.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        line.push('…')
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_a_character() {
        assert_eq!(shorten("grün\nund", 4), "grü…");
        assert_eq!(shorten("a\nb", 9), "a b");
        assert_eq!(shorten("ü", 1), "…");
    }

    #[test]
    fn the_last_lines_of_a_call_are_kept() {
        let mut log = Log::new("s", 1, 10);
        assert_eq!(log.recent(), None);
        (0..1000).for_each(|i| log.write(Level::Debug, &format!("line {i}")));
        let kept = log.recent().unwrap();
        assert!(kept.starts_with("line 980\n") && kept.ends_with("\nline 999"), "{kept}");
        log.begin();
        assert_eq!(log.recent(), None);
    }

    #[test]
    fn a_flood_is_dammed() {
        let mut log = Log::new("s", 1, 10);
        let written = (0..1000).filter(|_| log.may()).count();
        assert!((10..20).contains(&written), "{written}");
    }
}
