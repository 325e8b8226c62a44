//! Which cores the parts of a bench have.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;
use thread_priority::{
    NormalThreadSchedulePolicy::Other, RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// One core for what is measured, the rest for everything else. What measures comes before all that the machine does besides, where
/// that is allowed: the kernel's threads and those of others would be counted as well, and more of them where a guest that fills the
/// core of its own sends them over. What is measured has the share of a nice value of -20 for the same reason, and is not more nice
/// in one of its threads than in another.
///
/// Threads of the kernel that may be moved have the rest, too: one that watches memory takes a millisecond twice a second, and so
/// makes a few of the ten rows late that decide a second's p99.
pub struct Cores {
    measured: CpuSet,
    rest: CpuSet,
    /// where threads of the kernel may be otherwise
    kernel: Vec<(Pid, CpuSet)>,
    /// the cores that its workers may have otherwise, as it writes them
    workers: Option<String>,
}

/// What is no thread's own work; a mask of cores.
const WORKERS: &str = "/sys/devices/virtual/workqueue/cpumask";
/// The parent of all threads of the kernel.
const KTHREADD: &str = "2";

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
        let (kernel, workers) = (keep_kernel_to(&rest, last), keep_workers_to(&rest));
        let cores = Cores { measured, rest, kernel, workers };
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

impl Drop for Cores {
    fn drop(&mut self) {
        for (thread, cores) in &self.kernel {
            let _ = sched_setaffinity(Some(*thread), cores);
        }
        if let Some(cores) = &self.workers {
            let _ = fs::write(WORKERS, cores);
        }
    }
}

/// Moves threads of the kernel from a core to others. What was moved, and where it might be before; those of one core stay where
/// they are, and so do all where it is refused.
fn keep_kernel_to(rest: &CpuSet, core: usize) -> Vec<(Pid, CpuSet)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|p| p.file_name().to_str()?.parse().ok());
    let threads = ids.filter(|id| is_of_kernel(*id)).filter_map(Pid::from_raw);
    threads
        .filter_map(|thread| {
            let before =
                sched_getaffinity(Some(thread)).ok().filter(|cores| cores.is_set(core) && cores.count() > 1)?;
            sched_setaffinity(Some(thread), rest).ok()?;
            Some((thread, before))
        })
        .collect()
}

fn is_of_kernel(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // the name before it may hold anything
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(KTHREADD)
}

/// What was there before; None: it is refused.
fn keep_workers_to(rest: &CpuSet) -> Option<String> {
    let before = fs::read_to_string(WORKERS).ok()?;
    // words of 32 cores, the highest first
    let words = before.trim().split(',').count();
    let is_set = |core: usize| core < CpuSet::MAX_CPU && rest.is_set(core);
    let word = |at: usize| (0..32).filter(|bit| is_set(at * 32 + bit)).fold(0u32, |word, bit| word | 1 << bit);
    let mask: Vec<String> = (0..words).rev().map(|at| format!("{:08x}", word(at))).collect();
    fs::write(WORKERS, mask.join(",")).ok()?;
    Some(before)
}

fn first() {
    if let Ok(lowest) = ThreadPriority::try_from(1) {
        policy(ThreadSchedulePolicy::Realtime(Fifo), lowest)
    }
}

fn wanted() {
    policy(ThreadSchedulePolicy::Normal(Other), ThreadPriority::Max)
}

fn policy(policy: ThreadSchedulePolicy, priority: ThreadPriority) {
    if let Err(e) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        eprintln!("{policy:?} is refused ({e:?}): what the machine does besides is measured, too");
    }
}
