//! Waiting between tries: longer each time, up to a bound, and not in step with others.

use std::time::Duration;

/// Doubles from `least` to `most`; each wait is cut by up to a quarter at random.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
    seed: u64,
}

// === impl Backoff ===

impl Backoff {
    pub fn new(least: Duration, most: Duration) -> Self {
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        Backoff { least, most: most.max(least), next: least, seed: seed | 1 }
    }

    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        now.mul_f64(1.0 - (self.seed % 250) as f64 / 1000.0)
    }

    /// It worked: begin again from the least.
    pub fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_begins_again() {
        let mut b = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..8).map(|_| b.wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(75));
        assert!(waits[7] <= Duration::from_secs(1) && waits[7] >= Duration::from_millis(750));
        b.reset();
        assert!(b.wait() <= Duration::from_millis(100));
    }
}
