//! A thread as the kernel sees it: what it used, and when it is its turn.

use std::time::Duration;
#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// What a thread used since it began.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Used {
    pub core: Duration,
    /// it wanted the core and did not have it
    pub waited: Duration,
    /// how often it came to the core
    slices: u32,
}

/// What it takes to come to a core that nobody has, at most.
const WAKE: Duration = Duration::from_micros(10);

// === impl Used ===

impl Used {
    /// Of this thread; nothing where the kernel does not count it.
    #[cfg(target_os = "linux")]
    pub fn now() -> Used {
        // nanoseconds on a core, nanoseconds in the queue for one, and how often it came to one
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        Used {
            core: Duration::from_nanos(next()),
            waited: Duration::from_nanos(next()),
            slices: u32::try_from(next()).unwrap_or(u32::MAX),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn now() -> Used {
        Used::default()
    }

    pub fn waited_since(&self, before: &Used) -> Duration {
        let wakes = WAKE * self.slices.saturating_sub(before.slices);
        self.waited.saturating_sub(before.waited).saturating_sub(wakes)
    }
}

/// The policy for what runs where nobody else wants to: threads of the usual one take the core from it at once, as they do not from
/// one that is only `nice`. To be less important needs no right, to take it back does: it lasts as long as the thread.
#[cfg(target_os = "linux")]
pub(super) fn give_way() {
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
pub(super) fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_counts_what_a_thread_uses() {
        let before = Used::now();
        while Used::now().core < before.core + Duration::from_millis(2) {}
        assert!(Used::now().slices >= 1);
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
    fn one_that_is_woken_often_waits_a_little_each_time() {
        let (none, woken) =
            (Used::default(), Used { waited: Duration::from_millis(8), slices: 2000, ..Used::default() });
        assert_eq!(woken.waited_since(&none), Duration::ZERO);
    }
}
