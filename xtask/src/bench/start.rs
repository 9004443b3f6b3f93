//! How soon l7trace is ready, how soon it tells of what it saw, what it takes when nothing happens, and
//! memory by connections.

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::load::Protocol;
use super::options::Options;
use super::process::{self, Running};
use super::stage::Stage;
use super::store::thousands;
use super::tool::{TOOLS, Tool};
use super::{Bench, server, stop};

/// Connections go to several addresses of loopback: one has 65,000 ports.
const ADDRESSES: &str = "127.0.0.1:8080,127.0.0.2:8080,127.0.0.3:8080,127.0.0.4:8080";

fn engines(options: &Options) -> Vec<&'static Tool> {
    let chosen = |tool: &&Tool| {
        tool.is_ours()
            && (!options.quick || ["l7trace packets", "l7trace sock"].contains(&tool.name))
            && options.wants(tool)
    };
    TOOLS.iter().filter(chosen).collect()
}

/// Those whose memory is measured.
fn held(options: &Options) -> Vec<&'static Tool> {
    engines(options).into_iter().filter(|tool| ["l7trace packets", "l7trace sock"].contains(&tool.name)).collect()
}

fn connections(options: &Options) -> u64 {
    if options.quick { 10_000 } else { 100_000 }
}

/// What the figures of so many connections are called.
fn connections_case(options: &Options) -> String {
    format!("{} connections", thousands(connections(options) as f64))
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let (starts, engines, held) = (options.pairs(5, 3), engines(options).len(), held(options).len());
    let time = engines as f64 * (starts as f64 * 1.2 + 4.0) + held as f64 * connections(options) as f64 * 0.000_3;
    (
        format!("{engines} settings, {starts} starts; {} connections", connections(options)),
        Duration::from_secs_f64(time),
    )
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stage = Stage::build("start")?;
    {
        let _nginx = server::Nginx::start(&stage, 1, 1_000)?;
        for tool in engines(&bench.options) {
            for number in 0..bench.options.pairs(5, 3) {
                start(bench, &stage, tool, number == 0)?;
            }
            bench.print("start", "start", tool.name, &["ready_ns", "first_line_ns", "idle_share"]);
        }
    }
    for tool in held(&bench.options) {
        memory(bench, &stage, tool)?;
        bench.print("start", &connections_case(&bench.options), tool.name, &["memory_bytes"]);
    }
    Ok(())
}

fn start(bench: &mut Bench, stage: &Stage, tool: &'static Tool, look_on: bool) -> anyhow::Result<()> {
    let tracing = tool.start(&bench.l7trace, stage, Protocol::Http1)?;
    let ready = tracing.ready;
    stop::sleep(Duration::from_millis(50))?;
    let lines = tracing.lines();
    let (answered, told) = thread::scope(|scope| -> anyhow::Result<_> {
        let told = scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline && !stop::wanted() {
                if fs::metadata(lines).is_ok_and(|file| file.len() > 0) {
                    return Some(SystemTime::now());
                }
                thread::sleep(Duration::from_micros(500));
            }
            None
        });
        let answered = process::output(stage.part("ask")?.args([server::HTTP1, "/1k"]), Duration::from_secs(10))?;
        let told = told.join().ok().flatten().context("no line came within 10 s")?;
        Ok((answered.trim().parse::<u128>()?, told))
    })?;
    let told = told.duration_since(UNIX_EPOCH)?.as_nanos();
    bench.record(
        ["start", "start", tool.name],
        &[("ready_ns", ready.as_nanos() as f64), ("first_line_ns", told.saturating_sub(answered) as f64)],
    );
    if look_on {
        let idle = Duration::from_secs(3);
        stop::sleep(Duration::from_millis(500))?;
        let before = process::usage(tracing.id()).cpu;
        stop::sleep(idle)?;
        let used = process::usage(tracing.id()).cpu - before;
        bench.record(
            ["start", "start", tool.name],
            &[
                ("idle_share", used.as_secs_f64() / idle.as_secs_f64()),
                ("memory_bytes", process::resident(tracing.id()) as f64),
            ],
        );
    }
    tracing.end()
}

/// Memory while many connections are open, each with an exchange behind it.
fn memory(bench: &mut Bench, stage: &Stage, tool: &'static Tool) -> anyhow::Result<()> {
    let wanted = connections(&bench.options);
    // A worker's share is not exactly even, and a process has other files open too.
    let per_process = (bench.open_files.saturating_sub(500)).clamp(100, 40_000);
    let workers = (wanted * 4).div_ceil(per_process * 3).max(1);
    let holders = wanted.div_ceil(per_process);
    let _nginx = server::Nginx::start(stage, workers as usize, per_process)?;
    let tracing = tool.start_for_long(&bench.l7trace, stage)?;
    let mut running = Vec::new();
    for number in 0..holders {
        let said = stage.folder().join(format!("holder-{number}"));
        let count = wanted / holders + u64::from(number < wanted % holders);
        let mut command = stage.part("hold")?;
        command.args([ADDRESSES, "/1k", &count.to_string()]).stdin(Stdio::piped()).stdout(File::create(&said)?);
        command.stderr(File::create(said.with_extension("error"))?);
        running.push((Running::start(&mut command)?, said));
    }
    for (holder, said) in &mut running {
        let holding = stop::until(Duration::from_secs(120), || {
            if let Some(status) = holder.ended()? {
                bail!(
                    "a holder of connections ended: {status}: {}",
                    fs::read_to_string(said.with_extension("error"))?.trim()
                );
            }
            Ok(fs::read_to_string(&*said)?.contains("holding").then_some(()))
        })?;
        holding.context("the connections were not open within two minutes")?;
    }
    stop::sleep(Duration::from_secs(1))?;
    let case = connections_case(&bench.options);
    bench.record(["start", &case, tool.name], &[("memory_bytes", process::resident(tracing.id()) as f64)]);
    for (holder, _) in &mut running {
        // They end with their standard input.
        drop(holder.child().stdin.take());
    }
    for (holder, _) in &mut running {
        holder.wait(Duration::from_secs(20))?;
    }
    tracing.end()
}
