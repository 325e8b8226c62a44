//! A thread as the kernel sees it: what it used, when it is its turn, and for how long.

use std::time::Duration;

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
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    attributes::change(|mine| mine.sched_policy = libc::SCHED_IDLE as u32)
}

/// This thread takes the core from no other that does its work, but still from those that give way. A clock that took it in the
/// middle of a row would hand it on, for the scheduler may find that one that gives way was longer without.
pub fn wait_for_a_turn() {
    #[cfg(target_os = "linux")]
    attributes::change(|mine| (mine.sched_policy, mine.sched_runtime) = (libc::SCHED_BATCH as u32, 0))
}

/// How long this thread wants the core at once; None: as long as any. Who wants it for shorter takes it from this thread when he is
/// woken, and the share of both stays as it was. Linux from 6.12 on; what was before takes no notice.
pub(super) fn slice(of: Option<Duration>) {
    #[cfg(target_os = "linux")]
    attributes::change(|mine| mine.sched_runtime = of.map_or(0, |of| of.as_nanos() as u64));
    #[cfg(not(target_os = "linux"))]
    let _ = of;
}

/// What the scheduler knows of a thread, and the C library has no call for.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod attributes {
    use libc::{SYS_sched_getattr, SYS_sched_setattr, sched_attr, syscall};

    /// This thread; None: the kernel does not tell.
    pub fn get() -> Option<sched_attr> {
        let mut mine = sched_attr {
            size: size_of::<sched_attr>() as u32,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        // SAFETY: the kernel writes at most `size` bytes to the pointer, which names one living sched_attr of that size.
        let result = unsafe { syscall(SYS_sched_getattr, 0, &raw mut mine, mine.size, 0) };
        (result == 0).then_some(mine)
    }

    /// All but what is changed stays as it is. Where it is refused, nothing is worse than before.
    pub fn change(how: impl FnOnce(&mut sched_attr)) {
        let Some(mut mine) = get() else { return };
        mine.size = size_of::<sched_attr>() as u32;
        how(&mut mine);
        // SAFETY: the kernel reads `size` bytes from the pointer, which names one living sched_attr of that size.
        let _ = unsafe { syscall(SYS_sched_setattr, 0, &raw const mine, 0) };
    }
}

/// The policy of this thread, how nice it is, and for how long it wants the core, in nanoseconds.
#[cfg(all(test, target_os = "linux"))]
pub(super) fn known() -> (i32, i32, u64) {
    let told = attributes::get().map(|mine| (mine.sched_policy as i32, mine.sched_nice, mine.sched_runtime));
    // no policy
    told.unwrap_or((-1, 0, 0))
}

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
    fn a_clock_is_as_nice_as_the_process() {
        let told = std::thread::spawn(|| {
            attributes::change(|mine| mine.sched_nice += 3);
            let (_, nice, _) = known();
            wait_for_a_turn();
            (nice, known())
        });
        let (nice, (policy, kept, _)) = told.join().unwrap();
        assert_eq!((policy, kept), (libc::SCHED_BATCH, nice));
        assert_eq!(nice, known().1 + 3);
    }

    #[test]
    fn one_that_is_woken_often_waits_a_little_each_time() {
        let (none, woken) =
            (Used::default(), Used { waited: Duration::from_millis(8), slices: 2000, ..Used::default() });
        assert_eq!(woken.waited_since(&none), Duration::ZERO);
    }
}
