//! A thread whose guest used its time up gives way to the others of the machine from then on.
//!
//! Invariant 7: a guest costs its own pipeline time, and nothing else. With a core for every thread it cannot do otherwise; with fewer
//! a guest that loops to its limit again and again would take turns from pipelines that behave. What such a pipeline does it does
//! with what the others leave. Only a privileged process could take that back, so it lasts until the pipeline is started again.

use std::cell::Cell;

/// The least of what the scheduler gives where somebody else wants to run.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

thread_local!(static GIVES_WAY: Cell<bool> = const { Cell::new(false) });

/// True: it did not before.
pub fn give_way() -> bool {
    if GIVES_WAY.replace(true) {
        return false;
    }
    // On Linux a thread has a priority of its own. To be less important needs no right; where it is refused, nothing is worse.
    #[cfg(target_os = "linux")]
    if let Some(thread) = this_thread() {
        let _ = rustix::process::setpriority_process(Some(thread), NICE);
    }
    true
}

/// Its number, of which the kernel's name for it ends: "1234/task/1240".
#[cfg(target_os = "linux")]
fn this_thread() -> Option<rustix::process::Pid> {
    let name = std::fs::read_link("/proc/thread-self").ok()?;
    rustix::process::Pid::from_raw(name.file_name()?.to_str()?.parse().ok()?)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_itself_gives_way() {
        let nice = || rustix::process::getpriority_process(this_thread()).unwrap();
        let before = nice();
        let inside = std::thread::spawn(move || (give_way(), give_way(), nice())).join().unwrap();
        assert_eq!(inside, (true, false, NICE));
        assert_eq!(nice(), before);
    }
}
