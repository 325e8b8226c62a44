//! Which cores the parts of a bench have.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy::Other, RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// One core for what is measured, the rest for everything else. What measures comes before all that the machine does besides, where
/// that is allowed: the kernel's threads and those of others would be counted as well, and more of them where a guest that fills the
/// core of its own sends them over. What is measured has the share of a nice value of -20 for the same reason, and is not more nice
/// in one of its threads than in another.
pub struct Cores {
    measured: CpuSet,
    rest: CpuSet,
}

// === impl Cores ===

impl Cores {
    /// From now on this thread, and what it starts, keeps off the last of its cores. None: there is but one.
    pub fn split() -> Result<Option<Cores>> {
        let mut rest = sched_getaffinity(None)?;
        let mut mine = (0..CpuSet::MAX_CPU).filter(|core| rest.is_set(*core));
        let Some(last) = mine.next_back().filter(|_| mine.next().is_some()) else { return Ok(None) };
        rest.unset(last);
        let mut measured = CpuSet::new();
        measured.set(last);
        let cores = Cores { measured, rest };
        cores.keep_to(&cores.rest)?;
        first();
        Ok(Some(cores))
    }

    /// What `f` starts has the core of its own.
    pub fn measured<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        self.keep_to(&self.measured)?;
        wanted();
        let started = f();
        self.keep_to(&self.rest)?;
        first();
        Ok(started)
    }

    fn keep_to(&self, cores: &CpuSet) -> Result<()> {
        sched_setaffinity(None, cores).context("cores cannot be chosen")
    }
}

fn first() {
    // refused: then it is one of many
    let _ = ThreadPriority::try_from(1).map(|lowest| policy(ThreadSchedulePolicy::Realtime(Fifo), lowest));
}

fn wanted() {
    policy(ThreadSchedulePolicy::Normal(Other), ThreadPriority::Max);
}

fn policy(policy: ThreadSchedulePolicy, priority: ThreadPriority) {
    let _ = set_thread_priority_and_policy(thread_native_id(), priority, policy);
}
