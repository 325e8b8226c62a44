//! `host.log`: a guest's lines, with the step's name, rate and length limited.

use crate::wit::Level;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use weir_model::Name;

/// Holds back the lines of one step, whatever instances it has: one that traps is begun anew, and must not flood with each.
#[derive(Clone)]
pub(crate) struct Dam(Arc<Mutex<Pool>>);

struct Pool {
    rate: f64,
    /// lines that may still be written; refilled with time
    left: f64,
    filled: Instant,
    /// since the last line that was written
    suppressed: u64,
    /// since that was asked last; of a line that was cut, as many as its rest would have been
    held_back: u64,
}

/// Where the lines of one instance go.
pub(crate) struct Log {
    step: String,
    dam: Dam,
    line: usize,
    /// the last lines of the call under way, for the dead letter of a row that fails in it
    recent: VecDeque<String>,
}

/// Lines of a call that are kept.
const MOST_RECENT: usize = 20;

// === impl Dam ===

impl Dam {
    /// So many lines a second, and ten times as many at once.
    pub fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Dam(Arc::new(Mutex::new(Pool { rate, left: rate * 10.0, filled: Instant::now(), suppressed: 0, held_back: 0 })))
    }

    /// How many lines were held back before this one; None: this one is too.
    fn pass(&self) -> Option<u64> {
        // numbers are numbers, whoever panicked while he counted
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let more = now.duration_since(pool.filled).as_secs_f64() * pool.rate;
        pool.left = (pool.left + more).min(pool.rate * 10.0);
        pool.filled = now;
        if pool.left < 1.0 {
            pool.suppressed += 1;
            pool.held_back += 1;
            return None;
        }
        pool.left -= 1.0;
        Some(std::mem::take(&mut pool.suppressed))
    }

    /// So many lines' worth of a line will not be written.
    fn cut(&self, lines: usize) {
        if lines > 0 {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).held_back += lines as u64
        }
    }

    /// Lines that were held back since this was asked last.
    pub fn held_back(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).held_back)
    }
}

// === impl Log ===

impl Log {
    pub fn new(step: &str, dam: Dam, line: usize) -> Self {
        Log { step: step.into(), dam, line, recent: VecDeque::new() }
    }

    pub fn write(&mut self, level: Level, message: &str) {
        self.keep(message);
        self.dam.cut(message.len().saturating_sub(1) / self.line.max(1));
        let Some(lines) = self.dam.pass() else { return };
        if lines > 0 {
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
        let mut log = Log::new("s", Dam::new(1), 10);
        assert_eq!(log.recent(), None);
        (0..1000).for_each(|i| log.write(Level::Debug, &format!("line {i}")));
        let kept = log.recent().unwrap();
        assert!(kept.starts_with("line 980\n") && kept.ends_with("\nline 999"), "{kept}");
        log.begin();
        assert_eq!(log.recent(), None);
    }

    #[test]
    fn a_flood_is_dammed() {
        let dam = Dam::new(1);
        let written = (0..1000).filter(|_| dam.pass().is_some()).count();
        assert!((10..20).contains(&written), "{written}");
        let dam = Dam::new(0);
        assert!((0..1000).all(|_| dam.pass().is_none()));
        assert_eq!((dam.held_back(), dam.held_back()), (1000, 0));
    }
}
