//! A pipeline whose guest wastes time gives way to everything else on the machine.
//!
//! Invariant 7: a guest costs its own pipeline time, and nothing else. With a core for every thread it cannot do otherwise; with fewer
//! a guest that breaks its limits again and again would take turns from pipelines that behave. So a thread that wasted a second
//! does its work with what the others leave. Heavy work that keeps to the limits is no waste: it has the share of any thread.

use std::time::{Duration, Instant};

/// What one step wasted lately.
#[derive(Debug)]
pub struct Courtesy {
    wasted: Duration,
    at: Instant,
    gives_way: bool,
}

/// So much at once is too much,
const MOST: Duration = Duration::from_secs(1);
/// and so is more than this part of the time for long.
const SHARE: u32 = 10;

// === impl Courtesy ===

impl Courtesy {
    pub fn new() -> Self {
        Courtesy { wasted: Duration::ZERO, at: Instant::now(), gives_way: false }
    }

    /// A call broke a limit, and took so long for it. True: that was too much, and this thread gives way from now on.
    pub fn wasted(&mut self, time: Duration) -> bool {
        let since = self.at.elapsed();
        self.at += since;
        if !self.add(time, since) {
            return false;
        }
        self.gives_way = true;
        give_way();
        true
    }

    /// True: it is too much, for the first time.
    fn add(&mut self, time: Duration, since: Duration) -> bool {
        self.wasted = self.wasted.saturating_sub(since / SHARE) + time;
        self.wasted >= MOST && !self.gives_way
    }
}

/// The policy for what runs where nobody else wants to: threads of the usual one take the core from it at once, as they do not from
/// one that is only `nice`. To be less important needs no right, to take it back does: it lasts as long as the thread.
#[cfg(target_os = "linux")]
fn give_way() {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // where it is refused, nothing is worse than before
    let _ = set_thread_priority_and_policy(thread_native_id(), thread_priority::ThreadPriority::Min, idle);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(wastes: impl IntoIterator<Item = (Duration, Duration)>) -> Option<usize> {
        let mut courtesy = Courtesy::new();
        wastes.into_iter().position(|(time, since)| courtesy.add(time, since))
    }

    #[test]
    fn a_second_at_once_is_too_much_and_so_is_a_tenth_for_long() {
        assert_eq!(after([(SECOND, Duration::ZERO)]), Some(0));
        // a fifth of the time
        assert_eq!(after((0..100).map(|_| (SECOND / 5, SECOND))), Some(8));
        // a twentieth of it, for ever
        assert_eq!(after((0..10_000).map(|_| (SECOND / 20, SECOND))), None);
        // now and then a good part of a second
        assert_eq!(after((0..10_000).map(|_| (SECOND * 9 / 10, SECOND * 60))), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_thread_itself_gives_way() {
        use thread_priority::unix::*;
        let idle = || thread_schedule_policy() == Ok(ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        let inside = std::thread::spawn(move || {
            let mut courtesy = Courtesy::new();
            let before = (courtesy.wasted(SECOND / 2), idle());
            (before, courtesy.wasted(SECOND), courtesy.wasted(SECOND), idle())
        });
        assert_eq!(inside.join().unwrap(), ((false, false), true, false, true));
        assert!(!idle());
    }
}
