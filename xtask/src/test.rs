//! `cargo xtask test`: every test that can run here, and a count of those that cannot.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::{tools, vm};

/// What the live tests use, with the Debian package of each.
pub(crate) const LIVE_TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
    ("curl", "curl"),
    ("nghttpd", "nghttp2-server"),
    ("h2load", "nghttp2-client"),
    ("nghttpx", "nghttp2-proxy"),
    ("python3", "python3"),
    ("gcc", "gcc"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("mosquitto", "mosquitto"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("/usr/lib/python3/dist-packages/paho", "python3-paho-mqtt"),
    ("/usr/lib/python3/dist-packages/pika", "python3-pika"),
    ("/usr/lib/python3/dist-packages/aiosmtpd", "python3-aiosmtpd"),
    ("/usr/sbin/postfix", "postfix"),
    ("openssl", "openssl"),
    ("/usr/lib/python3/dist-packages/proton", "python3-qpid-proton"),
    ("/usr/lib/python3/dist-packages/grpc", "python3-grpcio"),
    ("/usr/lib/python3/dist-packages/websockets", "python3-websockets"),
];

/// What a run of tests came to.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The names of those that failed.
    failures: Vec<String>,
}

/// Runs all tests; `filter` is handed to the test runner.
pub(crate) fn run(filter: &[String]) -> anyhow::Result<()> {
    if let Err(missing) = tools::install(LIVE_TOOLS) {
        println!("{missing}\n(tests that need these are skipped and counted)");
    }
    let skips = tools::root().join("target/skipped-tests");
    std::fs::create_dir_all(tools::root().join("target"))?;
    std::fs::write(&skips, "")?;
    let mut count = Count::default();
    // One thread for the live tests' sake: they share two cores with the servers that they start.
    let mut command = tools::cargo();
    command.args(["test", "--workspace", "--profile", "quick", "--no-fail-fast"]);
    command.arg("--").args(filter).env("L7TRACE_SKIPS", &skips);
    run_counting(&mut command, &mut count)?;
    if !count.failures.is_empty() {
        try_again(&mut count, &skips)?;
    }
    let captures_failed = if filter.is_empty() { captures(&skips)? } else { false };
    let kernels_failed = if filter.is_empty() { kernels(&skips)? } else { false };

    let skipped = std::fs::read_to_string(&skips).context("cannot read the list of skipped tests")?;
    let skipped: Vec<&str> = skipped.lines().collect();
    println!();
    for line in &skipped {
        println!("{line}");
    }
    let failed = count.failed + u64::from(captures_failed) + u64::from(kernels_failed);
    let passed = count.passed.saturating_sub(skipped.len() as u64);
    println!("{passed} passed, {failed} failed, {} skipped", skipped.len() as u64 + count.ignored);
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

/// Runs the syscalls suites on the oldest and the newest kernel, where they can be had. Whether that
/// failed.
fn kernels(skips: &std::path::Path) -> anyhow::Result<bool> {
    match vm::try_kernels(&vm::ENDS) {
        Ok(faults) => {
            for fault in &faults {
                println!("failed: {fault}");
            }
            Ok(!faults.is_empty())
        }
        Err(why) => {
            let mut file = std::fs::OpenOptions::new().append(true).open(skips)?;
            writeln!(file, "skipped: other kernels in virtual machines: {why:#}")?;
            Ok(false)
        }
    }
}

/// Live tests share a machine with whatever else runs on it: what failed is tried once more, alone, and
/// what then passes is named.
fn try_again(count: &mut Count, skips: &std::path::Path) -> anyhow::Result<()> {
    println!("\n== once more, one at a time: {}", count.failures.join(", "));
    let mut command = tools::cargo();
    command.args(["test", "--workspace", "--profile", "quick", "--no-fail-fast", "--"]);
    command.args(["--exact", "--test-threads=1"]).args(&count.failures).env("L7TRACE_SKIPS", skips);
    let mut second = Count::default();
    run_counting(&mut command, &mut second)?;
    for name in count.failures.iter().filter(|name| !second.failures.contains(name)) {
        println!("passed only the second time: {name}");
    }
    count.passed += count.failed.saturating_sub(second.failed);
    count.failed = second.failed;
    Ok(())
}

/// Runs a test command, shows what it prints, and adds up its `test result:` lines.
fn run_counting(command: &mut Command, count: &mut Count) -> anyhow::Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            count.failures.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { continue };
        let number = |word: &str| {
            let before = result.split(word).next().unwrap_or_default();
            before.split_whitespace().next_back().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        count.passed += number(" passed");
        count.failed += number(" failed");
        count.ignored += number(" ignored");
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        bail!("cargo test broke off: {status}");
    }
    Ok(())
}

/// What must hold over the captures that nobody on the project made: protocol, share of expected
/// rows reported, share of rows beyond them.
const CAPTURE_SHARES: &[(&str, &str, &str)] = &[
    ("http1", "0.99", "0.013"),
    ("http2", "1", "0.04"),
    ("grpc", "1", "0"),
    ("websocket", "1", "0"),
    ("mqtt", "1", "0"),
    ("smtp", "0.975", "0.035"),
];

/// Holds `read` against the captures beside the project, where they are. Whether that failed.
fn captures(skips: &std::path::Path) -> anyhow::Result<bool> {
    let check = tools::root().join("../shared/captures/check.py");
    if !check.is_file() || !tools::has("python3") {
        let mut file = std::fs::OpenOptions::new().append(true).open(skips)?;
        writeln!(file, "skipped: captures: the folder of captures is not beside the project, or python3 is missing")?;
        return Ok(false);
    }
    tools::run(tools::cargo().args(["build", "--profile", "quick", "--package", "l7trace"]))?;
    let mut failed = false;
    for (protocol, need, extra) in CAPTURE_SHARES {
        let status = Command::new("python3")
            .arg(&check)
            .arg(tools::root().join("target/quick/l7trace"))
            .args(["--protocol", protocol, "--need", need, "--extra", extra])
            .status()
            .context("cannot run python3")?;
        failed |= !status.success();
    }
    Ok(failed)
}
