//! What a process cost, as the kernel counted it.

use anyhow::{Context, Result};
use std::fs;

/// CPU seconds (user and system) of all threads that the process has or had.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name in parentheses may hold anything; state is field 3, utime and stime are 14 and 15.
    let rest = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory that was ever resident since the start, or since [`reset_peak`], in MB (10^6 bytes).
pub fn peak_mb(pid: u32) -> Option<f64> {
    memory_mb(pid, "VmHWM:")
}

/// The memory that is resident now, in MB.
pub fn resident_mb(pid: u32) -> Option<f64> {
    memory_mb(pid, "VmRSS:")
}

fn memory_mb(pid: u32, line: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(line))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Lets the peak begin anew; false where the kernel does not permit it, the peak then counts from the process's start.
pub fn reset_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// Processes that were runnable, on average over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|t| t.parse().ok()).unwrap_or_default()
}

/// What the machine below a virtual one took of its cores since the start, in ticks of the clock; None on other systems than Linux.
pub fn stolen() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal
    stat.lines().next()?.split_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_a_cost() {
        let me = std::process::id();
        let before = cpu_seconds(me).unwrap();
        let mut sum = 0u64;
        while cpu_seconds(me).unwrap() < before + 0.02 {
            sum = std::hint::black_box(sum).wrapping_add(1);
        }
        assert!(peak_mb(me).unwrap() > 1.0);
        assert!(cpu_seconds(u32::MAX).is_err());
    }

    #[test]
    fn memory_that_is_given_back_was_resident_once() {
        let me = std::process::id();
        let (before, held) = (resident_mb(me).unwrap(), std::hint::black_box(vec![1u8; 256_000_000]));
        assert!(resident_mb(me).unwrap() > before + 200.0);
        drop(held);
        assert!(resident_mb(me).unwrap() < before + 100.0 && peak_mb(me).unwrap() > before + 200.0);
    }
}
