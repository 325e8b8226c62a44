//! How much of its time a step wasted: at once, or for long.

use std::time::{Duration, Instant};

/// What calls that broke a limit took, and how much of it is known still.
#[derive(Debug)]
pub(super) struct Waste {
    time: Duration,
    pub at: Instant,
}

/// So much at once is too much,
const MOST: Duration = Duration::from_millis(250);
/// and so is more than this part of the time for long.
const SHARE: u32 = 50;
/// It is forgotten at that rate, and what there was beyond this at once.
const MOST_KEPT: Duration = Duration::from_secs(2);

// === impl Waste ===

impl Waste {
    pub fn new() -> Self {
        Waste { time: Duration::ZERO, at: Instant::now() }
    }

    /// So much more, so long after the last. True: it is too much.
    pub fn add(&mut self, time: Duration, since: Duration) -> bool {
        self.at += since;
        self.time = (self.time.saturating_sub(since / SHARE) + time).min(MOST_KEPT);
        self.time >= MOST
    }

    pub fn is_known(&self) -> bool {
        self.time > self.at.elapsed() / SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(wastes: impl IntoIterator<Item = (Duration, Duration)>) -> Option<usize> {
        let mut waste = Waste::new();
        wastes.into_iter().position(|(time, since)| waste.add(time, since))
    }

    #[test]
    fn a_quarter_of_a_second_at_once_is_too_much_and_so_is_a_fiftieth_for_long() {
        assert_eq!(after([(SECOND / 4, Duration::ZERO)]), Some(0));
        // a tenth of the time
        assert_eq!(after((0..100).map(|_| (SECOND / 10, SECOND))), Some(2));
        // a hundredth of it, for ever
        assert_eq!(after((0..10_000).map(|_| (SECOND / 100, SECOND))), None);
        // now and then a good part of that
        assert_eq!(after((0..10_000).map(|_| (SECOND / 5, SECOND * 60))), None);
    }
}
