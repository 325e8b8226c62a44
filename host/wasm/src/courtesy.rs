//! A pipeline whose guest wastes time gives way to everything else on the machine.
//!
//! Invariant 7: a guest costs its own pipeline time, and nothing else. With a core for every thread it cannot do otherwise; with fewer
//! a guest that breaks its limits again and again would take turns from pipelines that behave. So a thread that wasted a second
//! does its work with what the others leave. Heavy work that keeps to the limits is no waste: it has the share of any thread.
//!
//! And it rests after a short batch in which others took the core from it. A thread that sleeps and wakes for every few rows comes
//! back each time as one that is owed a turn, and keeps a core until the next tick of the kernel's clock while others wait; after a
//! rest it has more rows at once, for which the same harm is done once. Where nobody wants the core there is no rest.

use std::time::{Duration, Instant};

/// What one step wasted lately.
#[derive(Debug)]
pub struct Courtesy {
    wasted: Duration,
    at: Instant,
    /// how often the core was taken from this thread, once it gives way
    gives_way: Option<i64>,
}

/// So much at once is too much,
const MOST: Duration = Duration::from_secs(1);
/// and so is more than this part of the time for long.
const SHARE: u32 = 20;
/// After a batch for which the thread was in somebody's way, so many times what the batch took,
const REST: u32 = 20;
/// but at least this: five turns a second are few. A batch that took longer had no turn that it was not owed.
const LEAST_REST: Duration = Duration::from_millis(200);
const MOST_REST: Duration = Duration::from_secs(1);

// === impl Courtesy ===

impl Courtesy {
    pub fn new() -> Self {
        Courtesy { wasted: Duration::ZERO, at: Instant::now(), gives_way: None }
    }

    /// A call broke a limit, and took so long for it. True: that was too much, and this thread gives way from now on.
    pub fn wasted(&mut self, time: Duration) -> bool {
        let since = self.at.elapsed();
        self.at += since;
        if !self.add(time, since) {
            return false;
        }
        give_way();
        self.gives_way = Some(preempted());
        true
    }

    /// A batch is done that took so long.
    #[inline]
    pub fn rest(&mut self, spent: Duration) {
        if let Some(before) = &mut self.gives_way {
            let now = preempted();
            if std::mem::replace(before, now) != now && spent < LEAST_REST {
                std::thread::sleep((spent * REST).clamp(LEAST_REST, MOST_REST));
            }
        }
    }

    /// True: it is too much, for the first time.
    fn add(&mut self, time: Duration, since: Duration) -> bool {
        self.wasted = self.wasted.saturating_sub(since / SHARE) + time;
        self.wasted >= MOST && self.gives_way.is_none()
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

/// How often somebody else had the core although this thread still wanted it.
#[cfg(target_os = "linux")]
fn preempted() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches())
}

#[cfg(not(target_os = "linux"))]
fn preempted() -> i64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(wastes: impl IntoIterator<Item = (Duration, Duration)>) -> Option<usize> {
        let mut courtesy = Courtesy::new();
        wastes.into_iter().position(|(time, since)| courtesy.add(time, since))
    }

    #[test]
    fn a_second_at_once_is_too_much_and_so_is_a_twentieth_for_long() {
        assert_eq!(after([(SECOND, Duration::ZERO)]), Some(0));
        // a fifth of the time
        assert_eq!(after((0..100).map(|_| (SECOND / 5, SECOND))), Some(6));
        // a fortieth of it, for ever
        assert_eq!(after((0..10_000).map(|_| (SECOND / 40, SECOND))), None);
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
