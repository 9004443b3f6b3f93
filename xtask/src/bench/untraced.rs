//! What l7trace costs those who are not traced, and what one call costs that is.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::load::Protocol;
use super::options::Options;
use super::pair::{self, Step};
use super::stage::Stage;
use super::tool::{TOOLS, Tool};
use super::{Bench, process, stop};
use crate::tools;

const WRITES: u32 = 50_000;

fn engines(options: &Options) -> Vec<&'static Tool> {
    let chosen = |tool: &&Tool| {
        tool.is_ours()
            && tool.name != "l7trace both"
            && (!options.quick || tool.name == "l7trace sock")
            && options.wants(tool)
    };
    TOOLS.iter().filter(chosen).collect()
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let (engines, pairs) = (engines(options).len(), options.pairs(4, 2));
    let time = pairs as f64 * (pair::runs(engines) as f64 * 5.0 + engines as f64);
    (format!("{engines} engines, {pairs} pairs: calls, file writes, a compile"), Duration::from_secs_f64(time))
}

/// What a round of all programs gave: case and nanoseconds of processor time.
type Costs = Vec<(String, f64)>;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    tools::install(&[("gcc", "gcc"), ("dd", "coreutils")])?;
    let traced = Stage::build("traced")?;
    let other = Stage::build("other")?;
    let call_cost = traced.folder().join("call_cost");
    let source = tools::root().join("crates/testkit/programs/call_cost.c");
    let mut compile = traced.inside("gcc");
    process::output(compile.arg("-O2").arg("-o").arg(&call_cost).arg(source), Duration::from_secs(60))?;
    fs::write(traced.folder().join("compiled.c"), program_to_compile())?;
    let engines = engines(&bench.options);
    for number in 0..bench.options.pairs(4, 2) {
        let mut without: Vec<Costs> = vec![Costs::new(); engines.len() + 1];
        let mut with = Vec::new();
        for step in pair::round(engines.len(), number) {
            match step {
                Step::Without(index) => without[index] = costs(&traced, &other, &call_cost)?,
                Step::With(engine, beside) => {
                    let tracing = engines[engine].start(&bench.l7trace, &traced, Protocol::Http1)?;
                    let costs = costs(&traced, &other, &call_cost)?;
                    tracing.end()?;
                    with.push((engine, beside, costs));
                }
            }
            stop::check()?;
        }
        for (case, cost) in without.iter().flatten() {
            bench.record(["untraced", case, "without"], &[("cost_ns", *cost)]);
        }
        for (engine, beside, costs) in with {
            for (case, cost) in costs {
                let before = without[beside].iter().find(|(name, _)| *name == case).map_or(f64::NAN, |(_, cost)| *cost);
                bench.record(
                    ["untraced", &case, engines[engine].name],
                    &[("cost_ns", cost), ("added_ns", cost - before), ("cost_ratio", cost / before)],
                );
            }
        }
    }
    let mut cases: Vec<String> = Vec::new();
    for figure in bench.results.figures.iter().filter(|figure| figure.part == "untraced") {
        if !cases.contains(&figure.case) {
            cases.push(figure.case.clone());
        }
    }
    for case in cases {
        println!("\n{case}");
        bench.print("untraced", &case, "without", &["cost_ns"]);
        for engine in &engines {
            bench.print("untraced", &case, engine.name, &["added_ns", "cost_ratio"]);
        }
    }
    Ok(())
}

/// Runs each program once.
fn costs(traced: &Stage, other: &Stage, call_cost: &Path) -> anyhow::Result<Costs> {
    let mut costs = Costs::new();
    for (stage, whose) in [(traced, "traced"), (other, "not traced")] {
        let said = process::output(stage.inside(call_cost).arg("8"), Duration::from_secs(60))?;
        for line in said.lines() {
            let (name, cost) = line.split_once(' ').context("call_cost said something else")?;
            let cost = cost.trim().parse::<f64>()?;
            match (name, whose) {
                // These have no socket, whose they may be.
                ("getppid", "traced") => costs.push(("getppid".to_owned(), cost)),
                ("devices", "traced") => costs.push(("read or write of 512 B, no socket".to_owned(), cost)),
                ("getppid" | "devices", _) => {}
                (size, _) => costs.push((format!("socket call of {}, {whose}", size.replace('_', " ")), cost)),
            }
        }
    }
    let file = traced.folder().join("written");
    let mut dd = traced.inside("dd");
    dd.args(["if=/dev/zero", "bs=4096", "status=none"])
        .arg(format!("count={WRITES}"))
        .arg(format!("of={}", file.display()));
    let written = process::measure(&mut dd, Duration::from_secs(60))?;
    super::remove_file(&file);
    costs.push(("file write of 4 KB".to_owned(), written.usage.cpu.as_nanos() as f64 / f64::from(WRITES)));
    let mut gcc = traced.inside("gcc");
    gcc.args(["-O1", "-c", "-o", "/dev/null"]).arg(traced.folder().join("compiled.c"));
    let compiled = process::measure(&mut gcc, Duration::from_secs(60))?;
    costs.push(("a compile".to_owned(), compiled.usage.cpu.as_nanos() as f64));
    Ok(costs)
}

/// Enough functions to keep a compiler busy for the better part of a second.
fn program_to_compile() -> String {
    let mut program = String::new();
    for number in 0..500 {
        // Writing to a String does not fail.
        let _ = writeln!(
            program,
            "int f{number}(int a, int b) {{ for (int i = 0; i < b; i++) {{ a = a * {} + (b ^ i); if (a & {}) b -= a >> 3; }} return a % (b | 1); }}",
            number * 7 + 3,
            number + 1,
        );
    }
    program
}
