//! What a process uses: CPU time and resident memory, as `/proc` tells them.
//!
//! CPU time is `utime` + `stime` of `/proc/PID/stat`: all threads, ended ones included, in ticks of 10 ms. The kernel
//! scales them to the nanoseconds that the scheduler counted, so the error is one tick a reading, not one a switch.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// `getconf CLK_TCK`: fixed at 100 in the interface of Linux on all common machines, whatever the kernel's own rate.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of processes so far, all together.
pub(crate) fn cpu_time(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu_time_of(*pid)).sum()
}

fn cpu_time_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{pid}/stat is unlike any known: {stat}"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Fields 14 and 15: user and system.
fn cpu_ticks(stat: &str) -> Option<u64> {
    sum_from_14(stat, 2)
}

/// Fields 14 to 17: user and system, and those of children that ended.
fn family_ticks(stat: &str) -> Option<u64> {
    sum_from_14(stat, 4)
}

/// Counted behind the name, which is in parentheses and may hold blanks and parentheses itself.
fn sum_from_14(stat: &str, count: usize) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    (0..count).map(|_| fields.next()?.parse::<u64>().ok()).sum()
}

/// Files that a process has open.
pub(crate) fn open_files(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("process {pid} is gone"))?.count())
}

/// CPU time of the whole machine and of this process with its ended children, since some moment: tells whether others
/// worked meanwhile, which makes figures rough.
pub(crate) struct Machine {
    busy: u64,
    capacity: u64,
    own: u64,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        let all = fs::read_to_string("/proc/stat").context("no /proc/stat")?;
        let own = fs::read_to_string("/proc/self/stat").context("no /proc/self/stat")?;
        let (busy, capacity) = machine_ticks(&all).context("/proc/stat is unlike any known")?;
        Ok(Self { busy, capacity, own: family_ticks(&own).context("/proc/self/stat is unlike any known")? })
    }

    /// The part (0 to 1) of the machine's CPU time since `start` that was neither idle nor ours.
    pub(crate) fn others_since(&self, start: &Self) -> f64 {
        let others = (self.busy - start.busy).saturating_sub(self.own - start.own);
        others as f64 / (self.capacity - start.capacity).max(1) as f64
    }
}

/// Ticks of all cores together: busy, and in all. The first line has user, nice, system, idle, iowait, irq, softirq,
/// steal; the guests' time behind is in the user's already.
fn machine_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_ascii_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let capacity: u64 = fields.iter().sum();
    Some((capacity - fields.get(3)? - fields.get(4)?, capacity))
}

/// Resident memory of a process in bytes: what it has of its own and maps of files.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    resident_of(&status).with_context(|| format!("/proc/{pid}/status has no VmRSS"))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// CPU time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).expect("below a second");
    Duration::new(u64::try_from(time.tv_sec).expect("CPU time is not negative"), nanos)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn ticks_are_found_behind_a_hostile_name() {
        let stat = "77 (a) 1 (b 9 9) S 1 77 77 0 -1 4194560 100 200 3 4 150 25 7 8 20 0 9 0 12345 1 2";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(family_ticks(stat), Some(190));
        assert_eq!(cpu_ticks("77 (short) S 1 2 3"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn what_others_did_is_what_was_busy_and_not_ours() {
        let stat = "cpu  100 10 50 700 40 5 15 80 99 99\ncpu0 1 2 3\n";
        assert_eq!(machine_ticks(stat), Some((260, 1000)));
        assert_eq!(machine_ticks("intr 1 2"), None);
        let start = Machine { busy: 260, capacity: 1000, own: 20 };
        let end = Machine { busy: 560, capacity: 1600, own: 170 };
        assert!((end.others_since(&start) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn resident_memory_is_in_kibibytes() {
        assert_eq!(resident_of("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t   512 kB\nThreads: 1\n"), Some(512 * 1024));
        assert_eq!(resident_of("Name:\tkernel thread\n"), None);
    }

    #[test]
    fn the_own_process_has_memory_and_burns_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        let (process, thread) = (cpu_time(&[pid]).unwrap(), thread_time());
        let mut sum = 0_u64;
        while thread_time() - thread < Duration::from_millis(60) {
            sum = black_box(sum.wrapping_mul(31) + 1);
        }
        let burnt = cpu_time(&[pid, pid]).unwrap() / 2 - process;
        assert!(burnt >= Duration::from_millis(40), "{burnt:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(cpu_time(&[u32::MAX]).is_err());
    }
}
