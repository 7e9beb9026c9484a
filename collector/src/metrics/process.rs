//! What the operating system says about this process, under the names every Prometheus client uses.

use super::Metrics;
use std::fs;
use std::sync::LazyLock;

/// Clock ticks in a second, as `/proc` counts them: fixed at 100 on every architecture this runs on
/// (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Reads `/proc`; what can't be read keeps its value.
pub fn refresh(metrics: &Metrics) {
    if let Some(cpu) = cpu_seconds() {
        let before = metrics.process_cpu.get();
        metrics.process_cpu.inc_by((cpu - before).max(0.0));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, gauge) in [("VmRSS:", &metrics.process_resident), ("VmSize:", &metrics.process_virtual)] {
        if let Some(bytes) = kilobytes(&status, key) {
            gauge.set(bytes);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory being read.
        let open = entries.count().saturating_sub(1);
        metrics.process_fds.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    metrics.process_max_fds.set(limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX));
    if let Some(start) = *STARTED {
        metrics.process_start.set(start);
    }
}

/// The start of the process does not change.
static STARTED: LazyLock<Option<i64>> = LazyLock::new(|| {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks: f64 = stat_field(22)?;
    Some(boot + (ticks / TICKS) as i64)
});

/// User and system time of all threads.
fn cpu_seconds() -> Option<f64> {
    Some((stat_field(14)? + stat_field(15)?) / TICKS)
}

/// A field of `/proc/self/stat`, numbered as in proc_pid_stat(5).
fn stat_field(number: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn kilobytes(status: &str, key: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<i64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_described_in_sane_numbers() {
        let metrics = Metrics::default();
        refresh(&metrics);
        let cpu = metrics.process_cpu.get();
        refresh(&metrics);
        assert!(metrics.process_cpu.get() >= cpu, "a counter does not go back");
        assert!(metrics.process_resident.get() > 1 << 20);
        assert!(metrics.process_virtual.get() >= metrics.process_resident.get());
        assert!((3..=metrics.process_max_fds.get()).contains(&metrics.process_fds.get()));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let age = i64::try_from(now).unwrap() - metrics.process_start.get();
        assert!((-1..86_400).contains(&age), "{age}");
    }
}
