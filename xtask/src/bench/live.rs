//! Each tool under each load, in alternating pairs.

use std::time::Duration;

use super::load::{LOADS, Load, Outcome, Protocol};
use super::options::Options;
use super::pair::{self, Step};
use super::process::Usage;
use super::stage::Stage;
use super::tool::{Seen, TOOLS, Tool};
use super::{Bench, kernel, load, server, stop};
use crate::tools;

/// Loads under which tools other than l7trace are tried too, beside the first.
const OTHERS_TRY: &[&str] = &["100KB", "10MB", "close", "pipelined"];
/// Those that are tried there: the cheapest capture that there is, and the fastest that reads HTTP.
const OTHERS_TRIED: &[&str] = &["tcpdump", "suricata"];

/// What is run for one load.
struct Contest {
    load: &'static Load,
    tools: Vec<&'static Tool>,
    pairs: usize,
    seconds: u64,
}

/// What will be run.
fn contests(options: &Options) -> Vec<Contest> {
    let contest = |load: &'static Load| {
        let first = load.name == LOADS[0].name;
        let chosen = |tool: &&Tool| {
            let tried = options.names_tools()
                || if tool.is_ours() {
                    !options.quick || tool.name != "l7trace both" && (first || tool.name != "l7trace tracepoints")
                } else if options.quick {
                    first && OTHERS_TRIED.contains(&tool.name)
                } else {
                    first || OTHERS_TRY.contains(&load.name) && OTHERS_TRIED.contains(&tool.name)
                };
            tried && options.wants(tool) && tool.missing().is_none() && tool.knows(load.protocol)
        };
        let pairs = if first { options.pairs(5, 2) } else { options.pairs(2, 1) };
        let seconds = if first { options.seconds(3, 2) } else { options.seconds(2, 1) };
        // Thousands of connections are not opened within a second.
        let seconds = if load.name == "10000" { seconds.max(3) } else { seconds };
        Contest { load, tools: TOOLS.iter().filter(chosen).collect(), pairs, seconds }
    };
    options.loads().into_iter().map(contest).filter(|contest| !contest.tools.is_empty()).collect()
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let contests = contests(options);
    let time: f64 = contests
        .iter()
        .map(|contest| {
            let runs = (pair::runs(contest.tools.len()) * contest.pairs) as f64;
            let with = (contest.tools.len() * contest.pairs) as f64;
            runs * (contest.seconds as f64 + 0.2) + with * 1.2
        })
        .sum();
    let loads =
        contests.iter().map(|contest| format!("{} ({} × {})", contest.load.name, contest.tools.len(), contest.pairs));
    (format!("loads (tools × pairs): {}", loads.collect::<Vec<_>>().join(", ")), Duration::from_secs_f64(time))
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stage = Stage::build("live")?;
    let _nginx = server::Nginx::start(&stage, load::cores(), 12_000.min(bench.open_files - 200))?;
    for contest in contests(&bench.options) {
        let (program, package) = contest.load.program();
        if !tools::has(program) {
            bench.results.note(format!("the load {} needs {program} (package {package})", contest.load.name));
            continue;
        }
        println!("\n{}: {}; {} pairs of {} s", contest.load.name, contest.load.what, contest.pairs, contest.seconds);
        if let Err(error) = run_contest(bench, &stage, &contest) {
            stop::check()?;
            bench.results.note(format!("the load {} broke off: {error:#}", contest.load.name));
        }
    }
    Ok(())
}

fn run_contest(bench: &mut Bench, stage: &Stage, contest: &Contest) -> anyhow::Result<()> {
    let _mosquitto = (contest.load.protocol == Protocol::Mqtt).then(|| server::mosquitto(stage)).transpose()?;
    // The first run of all finds cold caches.
    contest.load.run(stage, 1)?;
    for number in 0..contest.pairs {
        let mut without: Vec<Option<Outcome>> = vec![None; contest.tools.len() + 1];
        let mut with: Vec<(usize, usize, Trial)> = Vec::new();
        for step in pair::round(contest.tools.len(), number) {
            match step {
                Step::Without(index) => without[index] = Some(contest.load.run(stage, contest.seconds)?),
                Step::With(tool, beside) => match trial(bench, stage, contest, contest.tools[tool]) {
                    Ok(trial) => with.push((tool, beside, trial)),
                    Err(error) => {
                        stop::check()?;
                        bench
                            .results
                            .note(format!("{} under {}: {error:#}", contest.tools[tool].name, contest.load.name));
                    }
                },
            }
        }
        for outcome in without.iter().flatten() {
            record_outcome(bench, contest.load, "without", outcome);
        }
        for (tool, beside, trial) in with {
            let Some(beside) = without[beside] else { continue };
            record_pair(bench, contest.load, contest.tools[tool], &beside, &trial);
        }
    }
    bench.print("live", contest.load.name, "without", &["request_rate", "p50_ns", "p99_ns"]);
    for tool in &contest.tools {
        bench.print("live", contest.load.name, tool.name, SHOWN);
    }
    if contest.load.name == LOADS[0].name {
        for tool in contest.tools.iter().filter(|tool| tool.is_ours()) {
            kernel_time(bench, stage, contest, tool)?;
        }
    }
    Ok(())
}

const SHOWN: &[&str] = &[
    "throughput_ratio",
    "p50_ratio",
    "p99_ratio",
    "cpu_per_exchange_ns",
    "memory_bytes",
    "reported_share",
    "lost_share",
    "dropped_share",
];

/// A run with a tool.
struct Trial {
    outcome: Outcome,
    usage: Usage,
    seen: Seen,
    /// Requests that the server took meanwhile, where it counts them.
    taken: Option<u64>,
}

fn trial(bench: &Bench, stage: &Stage, contest: &Contest, tool: &'static Tool) -> anyhow::Result<Trial> {
    let counts = contest.load.protocol != Protocol::Mqtt;
    let before = if counts { server::requests(stage)? } else { 0 };
    let tracing = tool.start(&bench.l7trace, stage, contest.load.protocol)?;
    let outcome = contest.load.run(stage, contest.seconds)?;
    let (usage, seen) = tracing.finish()?;
    // The question itself is one.
    let taken = counts.then(|| server::requests(stage)).transpose()?.map(|after| after - before - 1);
    Ok(Trial { outcome, usage, seen, taken })
}

fn record_outcome(bench: &mut Bench, load: &Load, tool: &str, outcome: &Outcome) {
    let nanoseconds = |time: Option<Duration>| time.map_or(f64::NAN, |time| time.as_nanos() as f64);
    bench.record(
        ["live", load.name, tool],
        &[
            ("request_rate", outcome.per_second),
            ("p50_ns", nanoseconds(outcome.p50)),
            ("p99_ns", nanoseconds(outcome.p99)),
        ],
    );
}

fn record_pair(bench: &mut Bench, load: &Load, tool: &Tool, without: &Outcome, trial: &Trial) {
    let ratio = |with: Option<Duration>, without: Option<Duration>| {
        with.zip(without).map_or(f64::NAN, |(with, without)| with.as_secs_f64() / without.as_secs_f64())
    };
    let outcome = &trial.outcome;
    record_outcome(bench, load, tool.name, outcome);
    let share =
        trial.seen.exchanges.map_or(f64::NAN, |exchanges| reported_share(exchanges, outcome.answered, trial.taken));
    let dropped = trial.seen.dropped.unwrap_or(f64::NAN);
    bench.record(
        ["live", load.name, tool.name],
        &[
            ("throughput_ratio", outcome.per_second / without.per_second),
            ("p50_ratio", ratio(outcome.p50, without.p50)),
            ("p99_ratio", ratio(outcome.p99, without.p99)),
            ("cpu_per_exchange_ns", trial.usage.cpu.as_nanos() as f64 / outcome.answered.max(1) as f64),
            ("memory_bytes", trial.usage.memory as f64),
            ("reported_share", share),
            (if tool.is_ours() { "lost_share" } else { "dropped_share" }, dropped),
            ("pairs_flag", f64::from(u8::from(trial.seen.pairs))),
        ],
    );
}

/// The share of exchanges that were reported whole. At the end of a run some requests are under way: the
/// server has taken them, and the generator has not waited for their answers. A tool may or may not have seen
/// those whole. So all is reported where it is at least what the generator counts and at most what the
/// server counts; more than that is more than happened.
fn reported_share(reported: u64, answered: u64, taken: Option<u64>) -> f64 {
    let most = taken.unwrap_or(answered).max(answered);
    if reported > most {
        reported as f64 / most as f64
    } else if reported >= answered {
        1.0
    } else {
        reported as f64 / answered as f64
    }
}

/// One more run, in which the kernel counts the time of its programs, which costs time itself.
fn kernel_time(bench: &mut Bench, stage: &Stage, contest: &Contest, tool: &'static Tool) -> anyhow::Result<()> {
    let Some(counting) = kernel::Counting::begin(&mut bench.results)? else { return Ok(()) };
    let tracing = tool.start(&bench.l7trace, stage, contest.load.protocol)?;
    let before = counting.programs()?;
    let outcome = contest.load.run(stage, contest.seconds)?;
    let spent = counting.programs()?.since(&before);
    tracing.finish()?;
    bench.record(
        ["live", contest.load.name, tool.name],
        &[
            ("bpf_per_exchange_ns", spent.time.as_nanos() as f64 / outcome.answered.max(1) as f64),
            ("bpf_per_event_ns", spent.time.as_nanos() as f64 / spent.runs.max(1) as f64),
            ("bpf_events_per_exchange", spent.runs as f64 / outcome.answered.max(1) as f64),
        ],
    );
    bench.print(
        "live",
        contest.load.name,
        tool.name,
        &["bpf_per_exchange_ns", "bpf_per_event_ns", "bpf_events_per_exchange"],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_at_the_end_is_allowed_for() {
        for (reported, answered, taken, share) in [
            (100, 100, Some(132), 1.0),
            (132, 100, Some(132), 1.0),
            (99, 100, Some(132), 0.99),
            (264, 100, Some(132), 2.0),
            (50, 100, None, 0.5),
        ] {
            assert_eq!(reported_share(reported, answered, taken), share);
        }
    }
}
