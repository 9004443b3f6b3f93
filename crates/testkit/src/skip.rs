//! Tests that cannot run here say so, and are counted.

use std::io::Write;

/// Says that a test cannot run and why, where `cargo xtask test` counts it (the file that
/// `L7TRACE_SKIPS` names) and on standard error. The test then returns.
pub fn skip(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("L7TRACE_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        // Not to be counted would be the worst: a skip that passes in silence.
        writeln!(file, "{line}").expect("the list of skipped tests must be writable");
    }
}

/// Whether the test runs as root.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

/// Whether a program is there to be run.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(name).is_file())
}
