//! CPU that a process has used, for the benchmarks.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

/// Ticks of /proc/PID/stat in a second: part of the kernel's interface, the same on every machine.
const TICKS_PER_SECOND: u32 = 100;

/// Of a process by its id, or of this one as `self`.
pub fn cpu_of(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold anything; after it come numbers (man proc_pid_stat, 3 and
    // on).
    let numbers = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<u32> =
        numbers.split_whitespace().skip(11).take(2).filter_map(|text| text.parse().ok()).collect();
    ensure!(ticks.len() == 2, "/proc/{process}/stat is not understood: {stat}");
    Ok(Duration::from_secs(1) * ticks.iter().sum() / TICKS_PER_SECOND)
}
