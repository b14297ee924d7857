//! What the figures were measured on. No name of the host.

use std::fs;
use std::process::Command;

/// Processor, memory, kernel, JVM and load, in one line each.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|line| {
        let kibibytes: u64 = line.strip_suffix("kB")?.trim().parse().ok()?;
        Some(format!("{:.1} GiB", kibibytes as f64 / f64::from(1 << 20)))
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let lines = [
        ("processor", field("/proc/cpuinfo", "model name").map(|model| format!("{cores} x {model}"))),
        ("memory", memory),
        ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").ok()),
        ("JVM", java_version()),
        ("load before the run (1, 5, 15 minutes)", Some(load.join(" "))),
        ("date", Some(chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string())),
    ];
    let line = |(name, value): (&str, Option<String>)| {
        format!("- {name}: {}\n", value.as_deref().map_or("unknown", str::trim))
    };
    lines.into_iter().map(line).collect()
}

/// Takes so much memory and gives it back. A virtual machine may have handed its free pages to its host, and each first
/// touch of one costs several times the copy of what is written there: whoever runs first would pay, and whoever
/// comes after finds pages that the one before has paid for.
pub(crate) fn touch_memory(bytes: usize) {
    drop(std::hint::black_box(vec![1_u8; bytes]));
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn java_version() -> Option<String> {
    let output = Command::new("java").arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.contains("Runtime")).map(str::to_owned)
}
