//! At a tenth of what the host can do, at two tenths, and so on: what is seen and what it costs.

use std::time::Duration;

use super::load::{Outcome, Protocol, cores, pace_said};
use super::options::Options;
use super::pair::{self, Step};
use super::stage::Stage;
use super::tool::{TOOLS, Tool};
use super::{Bench, process, server, stop};

/// The tools of l7trace's that are tried at each point.
const OURS: &[&str] = &["l7trace packets", "l7trace sock"];
/// Other tools, tried at every other point of a full run.
const OTHERS: &[&str] = &["tcpdump", "tshark", "suricata"];
const CONNECTIONS: &str = "64";

/// Percentages of what the host can do.
fn points(options: &Options) -> &'static [u32] {
    if options.quick { &[25, 50, 75, 100] } else { &[10, 20, 30, 40, 50, 60, 70, 80, 90, 100] }
}

fn tools_at(options: &Options, point: u32) -> Vec<&'static Tool> {
    let others = (!options.quick || options.names_tools()) && point.is_multiple_of(20);
    let chosen = |tool: &&Tool| {
        (OURS.contains(&tool.name) || others && OTHERS.contains(&tool.name))
            && options.wants(tool)
            && tool.missing().is_none()
    };
    TOOLS.iter().filter(chosen).collect()
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let seconds = options.seconds(2, 1) as f64;
    let time: f64 = points(options)
        .iter()
        .map(|point| {
            let tools = tools_at(options, *point).len();
            pair::runs(tools) as f64 * (seconds + 0.2) + tools as f64 * 1.1
        })
        .sum();
    (format!("{} rates", points(options).len()), Duration::from_secs_f64(time + 3.0 * seconds))
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stage = Stage::build("saturation")?;
    let _nginx = server::Nginx::start(&stage, cores(), 4_000)?;
    let seconds = bench.options.seconds(2, 1);
    let pace = |rate: f64| -> anyhow::Result<Outcome> {
        let mut command = stage.part("pace")?;
        command.args(["http1", server::HTTP1, "/1k", CONNECTIONS, &rate.to_string(), &seconds.to_string()]);
        pace_said(&process::output(&mut command, Duration::from_secs(seconds + 10))?)
    };
    // The best of three: what it can do, not what it did while something else ran.
    let mut most: f64 = 0.0;
    for _ in 0..3 {
        most = most.max(pace(0.0)?.per_second);
    }
    bench.record(["saturation", "100", "host"], &[("request_rate", most)]);
    println!("  the host answers {most:.0} requests a second; {seconds} s at each rate");
    for (number, point) in points(&bench.options).iter().enumerate() {
        let rate = most * f64::from(*point) / 100.0;
        let tools = tools_at(&bench.options, *point);
        let case = point.to_string();
        println!("\n{point} %: {rate:.0} requests a second");
        let mut without: Vec<Option<Outcome>> = vec![None; tools.len() + 1];
        let mut with = Vec::new();
        for step in pair::round(tools.len(), number) {
            match step {
                Step::Without(index) => without[index] = Some(pace(rate)?),
                Step::With(index, beside) => {
                    let trial = || -> anyhow::Result<_> {
                        let tracing = tools[index].start(&bench.l7trace, &stage, Protocol::Http1)?;
                        let outcome = pace(rate)?;
                        let (usage, seen) = tracing.finish()?;
                        Ok((outcome, usage, seen))
                    };
                    match trial() {
                        Ok(trial) => with.push((index, beside, trial)),
                        Err(error) => {
                            stop::check()?;
                            bench.results.note(format!("{} at {point} %: {error:#}", tools[index].name));
                        }
                    }
                }
            }
        }
        for outcome in without.iter().flatten() {
            record(bench, &case, "without", rate, outcome);
        }
        bench.print("saturation", &case, "without", &["achieved_share", "p50_ns", "p99_ns"]);
        for (index, beside, (outcome, usage, seen)) in with {
            let Some(beside) = without[beside] else { continue };
            let tool = tools[index].name;
            record(bench, &case, tool, rate, &outcome);
            let added = |with: Option<Duration>, without: Option<Duration>| {
                with.zip(without).map_or(f64::NAN, |(with, without)| with.as_nanos() as f64 - without.as_nanos() as f64)
            };
            let share = seen.exchanges.map_or(f64::NAN, |exchanges| exchanges as f64 / outcome.answered.max(1) as f64);
            bench.record(
                ["saturation", &case, tool],
                &[
                    ("added_p50_ns", added(outcome.p50, beside.p50)),
                    ("added_p99_ns", added(outcome.p99, beside.p99)),
                    ("reported_share", share),
                    ("dropped_share", seen.dropped.unwrap_or(f64::NAN)),
                    ("cpu_cores", usage.cpu.as_secs_f64() / seconds as f64),
                    ("cpu_per_exchange_ns", usage.cpu.as_nanos() as f64 / outcome.answered.max(1) as f64),
                ],
            );
            bench.print(
                "saturation",
                &case,
                tool,
                &["achieved_share", "added_p50_ns", "added_p99_ns", "reported_share", "dropped_share", "cpu_cores"],
            );
        }
    }
    Ok(())
}

fn record(bench: &mut Bench, case: &str, tool: &str, rate: f64, outcome: &Outcome) {
    let nanoseconds = |time: Option<Duration>| time.map_or(f64::NAN, |time| time.as_nanos() as f64);
    bench.record(
        ["saturation", case, tool],
        &[
            ("achieved_share", outcome.per_second / rate),
            ("p50_ns", nanoseconds(outcome.p50)),
            ("p99_ns", nanoseconds(outcome.p99)),
        ],
    );
}
