//! Trying again after an error that may heal: how long to wait, and when to give up.

use std::time::{Duration, Instant};

/// Doubles from `least` to `most`; each wait is cut by up to a quarter at random, so that many do not come in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
    seed: u64,
}

/// When an error that may heal is tried again. Only errors in a row count: progress begins the count anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// so many tries without progress; None: no limit
    pub times: Option<u32>,
    /// so long without progress; None: no limit
    pub time: Option<Duration>,
    pub delay_initial: Duration,
    pub delay_max: Duration,
}

/// The errors since the last progress.
#[derive(Clone, Debug)]
pub struct Retries {
    policy: RetryPolicy,
    backoff: Backoff,
    made: u32,
    since: Option<Instant>,
}

/// Shorter waits would only keep a processor busy.
const SHORTEST: Duration = Duration::from_millis(1);

// === impl Backoff ===

impl Backoff {
    /// Where `most` is less than `least`, it is the bound all the same.
    pub fn new(least: Duration, most: Duration) -> Self {
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let most = most.max(SHORTEST);
        let least = least.clamp(SHORTEST, most);
        Backoff { least, most, next: least, seed: seed | 1 }
    }

    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.most);
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

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    /// Debezium's: for ever, from 300 ms up to 10 s.
    fn default() -> Self {
        RetryPolicy {
            times: None,
            time: None,
            delay_initial: Duration::from_millis(300),
            delay_max: Duration::from_secs(10),
        }
    }
}

// === impl Retries ===

impl Retries {
    pub fn new(policy: RetryPolicy) -> Self {
        Retries { policy, backoff: Backoff::new(policy.delay_initial, policy.delay_max), made: 0, since: None }
    }

    /// Something went through since the last error.
    pub fn progress(&mut self) {
        self.backoff.reset();
        self.made = 0;
        self.since = None;
    }

    /// An error at `now`: how long to wait before the next try. None: there is none left.
    pub fn after_error(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let late = self.policy.time.is_some_and(|most| now.saturating_duration_since(since) >= most);
        if late || self.policy.times.is_some_and(|most| self.made >= most) {
            return None;
        }
        self.made = self.made.saturating_add(1);
        Some(self.backoff.wait())
    }

    /// Tries since the last progress.
    pub fn made(&self) -> u32 {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn grows_to_its_bound_and_begins_again() {
        let mut b = Backoff::new(MS(100), MS(1000));
        let waits: Vec<_> = (0..8).map(|_| b.wait()).collect();
        assert!(waits[0] <= MS(100) && waits[0] >= MS(75));
        assert!(waits[7] <= MS(1000) && waits[7] >= MS(750));
        b.reset();
        assert!(b.wait() <= MS(100));
    }

    #[test]
    fn the_bound_holds_from_the_first_wait_and_no_wait_is_nothing() {
        assert!(Backoff::new(MS(300), MS(10)).wait() <= MS(10));
        let mut none = Backoff::new(MS(0), MS(0));
        assert!((0..5).all(|_| none.wait() > Duration::ZERO));
        let mut endless = Backoff::new(Duration::MAX / 4, Duration::MAX / 2);
        (0..4).for_each(|_| assert!(endless.wait() > Duration::ZERO));
    }

    #[test]
    fn by_default_there_is_always_another_try() {
        let mut r = Retries::new(RetryPolicy::default());
        let now = Instant::now();
        for hour in 0..10_000 {
            let wait = r.after_error(now + Duration::from_secs(3600) * hour).expect("another try");
            assert!(wait >= MS(225) && wait <= MS(10_000), "{wait:?}");
        }
        assert_eq!(r.made(), 10_000);
    }

    #[test]
    fn no_try_at_all_is_possible() {
        let mut r = Retries::new(RetryPolicy { times: Some(0), ..RetryPolicy::default() });
        assert_eq!(r.after_error(Instant::now()), None);
        let mut r = Retries::new(RetryPolicy { time: Some(Duration::ZERO), ..RetryPolicy::default() });
        assert_eq!(r.after_error(Instant::now()), None);
    }

    proptest! {
        /// A limit of n: the pipeline ends with the error behind n tries in a row that moved nothing, and never before.
        #[test]
        fn ends_after_so_many_tries_without_progress(n in 0u32..6, script in proptest::collection::vec(any::<bool>(), 0..60)) {
            let mut r = Retries::new(RetryPolicy { times: Some(n), ..RetryPolicy::default() });
            let (now, mut in_a_row) = (Instant::now(), 0);
            for progress in script {
                if progress {
                    r.progress();
                    in_a_row = 0;
                }
                in_a_row += 1;
                let again = r.after_error(now).is_some();
                prop_assert_eq!(again, in_a_row <= n);
                if !again { break }
            }
        }

        /// A limit of time counts from the first error behind the last progress.
        #[test]
        fn ends_after_so_long_without_progress(
            most in 1u64..50,
            script in proptest::collection::vec((any::<bool>(), 0u64..20), 0..60),
        ) {
            let mut r = Retries::new(RetryPolicy { time: Some(MS(most)), ..RetryPolicy::default() });
            let (begin, mut at, mut first) = (Instant::now(), 0, None);
            for (progress, passed) in script {
                at += passed;
                if progress {
                    r.progress();
                    first = None;
                }
                let since = at - *first.get_or_insert(at);
                let again = r.after_error(begin + MS(at)).is_some();
                prop_assert_eq!(again, since < most);
                if !again { break }
            }
        }
    }
}
