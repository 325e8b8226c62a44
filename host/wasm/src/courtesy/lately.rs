//! Whether a thread that gives way is in the way of others all the same, and for how long it rests then.

use std::time::{Duration, Instant};

/// How much of its time somebody else had the core that it wanted, and how much it wasted.
#[derive(Debug)]
pub(super) struct Lately {
    ran: Duration,
    waited: Duration,
    pub wasted: Duration,
    halved: Instant,
}

/// A rest is so many times the turn,
const REST: u32 = 20;
/// or so many times what was wasted of it,
const REST_WASTED: u32 = 100;
/// but at least this: two turns a second are few.
pub(super) const LEAST_REST: Duration = Duration::from_millis(500);
/// What takes longer than a twentieth of a second is interrupted, or is memory that was asked for and comes from the kernel.
const MOST_REST: Duration = Duration::from_secs(5);
/// It is in the way of others where they had the core for more than this part of its time: the clock of the guests and what any
/// kernel does besides have less.
const CROWD: u32 = 50;
/// What was so much of its time ago counts half,
const LATELY: Duration = Duration::from_secs(1);
/// and what was so long ago.
const LONG_AGO: Duration = Duration::from_secs(10);

// === impl Lately ===

impl Lately {
    pub fn new() -> Self {
        let none = Duration::ZERO;
        Lately { ran: none, waited: none, wasted: none, halved: Instant::now() }
    }

    /// Of one that was in the way of others for a second.
    #[cfg(test)]
    pub fn crowded() -> Self {
        Lately { waited: Duration::from_secs(1), ..Lately::new() }
    }

    /// True: it is in the way of others.
    pub fn add(&mut self, ran: Duration, waited: Duration) -> bool {
        self.ran += ran;
        self.waited += waited;
        if self.ran > LATELY || self.halved.elapsed() > LONG_AGO {
            self.ran /= 2;
            self.waited /= 2;
            self.wasted /= 2;
            self.halved = Instant::now()
        }
        self.waited > self.ran / CROWD
    }

    /// After so much of its time, of which as much was wasted as lately: what is wasted now is known when the call is over.
    pub fn rest(&self, ran: Duration) -> Duration {
        let wasted = (self.wasted.as_secs_f64() / self.ran.as_secs_f64().max(1e-9)).min(1.0);
        (ran * REST).max(ran.mul_f64(wasted) * REST_WASTED).clamp(LEAST_REST, MOST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_in_the_way_where_others_had_the_core_for_a_fiftieth_of_its_time() {
        let after = |turns: &[(u64, u64)]| {
            let mut lately = Lately::new();
            let turn =
                |(ran, waited): &(u64, u64)| lately.add(Duration::from_millis(*ran), Duration::from_micros(*waited));
            turns.iter().map(turn).collect::<Vec<_>>()
        };
        assert_eq!(after(&[(50, 1500)]), [true]);
        // a kernel that takes a millisecond now and then
        assert!(!after(&[&[(50, 0); 9][..], &[(50, 4000)]].concat().repeat(9)).contains(&true));
        // it is not forgotten at once, nor for ever
        assert_eq!(after(&[(500, 20_000), (100, 0), (1000, 0)]), [true, true, false]);
        let mut old = Lately { ran: SECOND / 2, waited: SECOND / 50, ..Lately::new() };
        old.halved -= LONG_AGO * 2;
        assert!(old.add(Duration::ZERO, Duration::ZERO));
        assert_eq!((old.ran, old.waited), (SECOND / 4, SECOND / 100));
    }

    #[test]
    fn who_does_little_but_waste_rests_five_times_as_long() {
        let (turn, ran) = (Duration::from_millis(20), SECOND / 2);
        let rest = |wasted| Lately { ran, wasted, ..Lately::new() }.rest(turn);
        assert_eq!([rest(Duration::ZERO), rest(SECOND / 20)], [LEAST_REST; 2]);
        assert_eq!(rest(SECOND / 4), SECOND);
        assert_eq!([rest(SECOND / 2), rest(SECOND)], [SECOND * 2; 2]);
        // what nobody can interrupt
        let at_once = |turn| Lately { ran, wasted: ran, ..Lately::new() }.rest(turn);
        assert_eq!([at_once(SECOND / 25), at_once(SECOND)], [SECOND * 4, SECOND * 5]);
        // before it ran at all
        assert_eq!(Lately::crowded().rest(Duration::ZERO), LEAST_REST);
    }
}
