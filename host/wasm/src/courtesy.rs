//! A pipeline whose guest wastes time gives way to everything else on the machine.
//!
//! Invariant 7: a guest costs its own pipeline time, and nothing else. With a core for every thread it cannot do otherwise; with fewer
//! a guest that breaks its limits again and again would take turns from pipelines that behave. So a thread that wasted too much
//! does its work with what the others leave. Heavy work that keeps to the limits is no waste, unless it blows up what it was given: it
//! has the share of any thread.
//!
//! And it rests after a short batch in which others took the core from it. A thread that sleeps and wakes for every few rows comes
//! back each time as one that is owed a turn, and keeps a core until the next tick of the kernel's clock while others wait; after a
//! rest it has more rows at once, for which the same harm is done once. Where nobody wants the core there is no rest.

use std::time::{Duration, Instant};
#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// What one step wasted lately.
#[derive(Debug)]
pub struct Courtesy {
    wasted: Duration,
    at: Instant,
    /// how often the core was taken from this thread, once it gives way
    gives_way: Option<i64>,
}

/// So much at once is too much,
const MOST: Duration = Duration::from_millis(250);
/// and so is more than this part of the time for long.
const SHARE: u32 = 50;
/// After a batch for which the thread was in somebody's way, so many times what the batch took,
const REST: u32 = 20;
/// but at least this: two turns a second are few. A batch that took longer had no turn that it was not owed.
const LEAST_REST: Duration = Duration::from_millis(500);
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
    policy(NormalThreadSchedulePolicy::Idle, ThreadPriority::Min)
}

/// This thread takes the core from no other that does its work, but still from those that give way. A clock that took it in the
/// middle of a row would hand it on, for the scheduler may find that one that gives way was longer without.
#[cfg(target_os = "linux")]
pub fn wait_for_a_turn() {
    // of 0 to 99: what is not nice at all
    if let Ok(usual) = 47u8.try_into() {
        policy(NormalThreadSchedulePolicy::Batch, ThreadPriority::Crossplatform(usual))
    }
}

#[cfg(target_os = "linux")]
fn policy(policy: NormalThreadSchedulePolicy, priority: ThreadPriority) {
    // where it is refused, nothing is worse than before
    let _ = set_thread_priority_and_policy(thread_native_id(), priority, ThreadSchedulePolicy::Normal(policy));
}

#[cfg(not(target_os = "linux"))]
pub fn wait_for_a_turn() {}

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
    fn a_quarter_of_a_second_at_once_is_too_much_and_so_is_a_fiftieth_for_long() {
        assert_eq!(after([(SECOND / 4, Duration::ZERO)]), Some(0));
        // a tenth of the time
        assert_eq!(after((0..100).map(|_| (SECOND / 10, SECOND))), Some(2));
        // a hundredth of it, for ever
        assert_eq!(after((0..10_000).map(|_| (SECOND / 100, SECOND))), None);
        // now and then a good part of that
        assert_eq!(after((0..10_000).map(|_| (SECOND / 5, SECOND * 60))), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_clock_is_as_nice_as_others() {
        use thread_priority::unix::*;
        let told = std::thread::spawn(|| {
            wait_for_a_turn();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            (thread_schedule_policy().unwrap(), fields.split_whitespace().nth(16).unwrap().to_string())
        });
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        assert_eq!(told.join().unwrap(), (batch, "0".into()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_thread_itself_gives_way() {
        use thread_priority::unix::*;
        let idle = || thread_schedule_policy() == Ok(ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        let inside = std::thread::spawn(move || {
            let mut courtesy = Courtesy::new();
            let before = (courtesy.wasted(SECOND / 8), idle());
            (before, courtesy.wasted(SECOND), courtesy.wasted(SECOND), idle())
        });
        assert_eq!(inside.join().unwrap(), ((false, false), true, false, true));
        assert!(!idle());
    }
}
