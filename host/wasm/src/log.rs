//! `host.log`: a guest's lines, with the step's name, rate and length limited.

use crate::wit::Level;
use std::time::Instant;

/// Where the lines of one instance go.
pub(crate) struct Log {
    step: String,
    rate: u32,
    line: usize,
    /// lines that may still be written; refilled with time
    left: f64,
    filled: Instant,
    suppressed: u64,
}

// === impl Log ===

impl Log {
    pub fn new(step: &str, rate: u32, line: usize) -> Self {
        let left = rate as f64 * 10.0;
        Log { step: step.into(), rate, line, left, filled: Instant::now(), suppressed: 0 }
    }

    pub fn write(&mut self, level: Level, message: &str) {
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
    fn a_flood_is_dammed() {
        let mut log = Log::new("s", 1, 10);
        let written = (0..1000).filter(|_| log.may()).count();
        assert!((10..20).contains(&written), "{written}");
    }
}
