//! `cargo xtask bench`: what l7trace costs and how much it sees, measured beside other tools.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::tools;

mod goals;
mod kernel;
mod live;
mod load;
mod offline;
mod options;
mod pair;
pub(crate) mod part;
mod plot;
mod process;
mod report;
mod saturation;
mod server;
mod soak;
mod stage;
mod start;
mod statistics;
mod stop;
mod store;
mod suricata;
mod tool;
mod untraced;

use options::Options;
use store::Results;

/// A part of the bench.
struct Part {
    name: &'static str,
    what: &'static str,
    /// Whether it runs without being named.
    by_default: bool,
    run: fn(&mut Bench) -> anyhow::Result<()>,
    /// What it will do, and how long that will take about.
    plan: fn(&Options) -> (String, Duration),
}

/// Every part, in the order in which they run.
const PARTS: &[Part] = &[
    Part {
        name: "live",
        what: "throughput, latency and completeness under load",
        by_default: true,
        run: live::run,
        plan: live::plan,
    },
    Part {
        name: "saturation",
        what: "the same from 10 % to 100 % of what the host can do",
        by_default: true,
        run: saturation::run,
        plan: saturation::plan,
    },
    Part {
        name: "untraced",
        what: "what it costs those who are not traced",
        by_default: true,
        run: untraced::run,
        plan: untraced::plan,
    },
    Part {
        name: "start",
        what: "time to ready and to the first line, idle, memory by connections",
        by_default: true,
        run: start::run,
        plan: start::plan,
    },
    Part {
        name: "offline",
        what: "`read` of generated captures",
        by_default: true,
        run: offline::run,
        plan: offline::plan,
    },
    Part {
        name: "soak",
        what: "memory over minutes at full speed",
        by_default: false,
        run: soak::run,
        plan: soak::plan,
    },
];

/// A run of the bench.
pub(crate) struct Bench {
    options: Options,
    l7trace: PathBuf,
    results: Results,
    /// How many files a process may have open here.
    open_files: u64,
}

/// Programs without which nothing can be measured, with the Debian package of each.
const NEEDED: &[(&str, &str)] =
    &[("ip", "iproute2"), ("nsenter", "util-linux"), ("sysctl", "procps"), ("nginx", "nginx-light"), ("wrk", "wrk")];

/// Runs what the arguments ask for.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(arguments)?;
    if options.help {
        print!("{}", options::USAGE);
        for part in PARTS {
            println!("    {:11} {}{}", part.name, part.what, if part.by_default { "" } else { " (only when named)" });
        }
        return Ok(());
    }
    if let Some((first, others)) = options.report.split_first() {
        let mut results = Results::read(first)?;
        for other in others {
            results.complete_with(Results::read(other)?);
        }
        return report::write(&results);
    }
    if options.micro {
        return tools::run(tools::cargo().args(["bench", "--package", "l7trace-output", "--bench", "micro"]));
    }
    let parts = chosen(&options)?;
    let before = options.against.as_deref().map(Results::read).transpose()?;
    print_plan(&parts, &options);
    if options.plan_only {
        return Ok(());
    }
    stop::listen()?;
    let mut bench = prepare(options)?;
    let begun = Instant::now();
    let interrupted = run_parts(&mut bench, &parts).err();
    bench.results.conditions.push(("took".to_owned(), format!("{:.0} s", begun.elapsed().as_secs_f64())));
    if !bench.results.figures.is_empty() {
        finish(&bench, before.as_ref(), interrupted.is_none())?;
    } else if interrupted.is_none() {
        bail!("nothing was measured");
    }
    interrupted.map_or(Ok(()), Err)
}

fn chosen(options: &Options) -> anyhow::Result<Vec<&'static Part>> {
    if let Some(unknown) = options.only.iter().find(|name| PARTS.iter().all(|part| part.name != **name)) {
        bail!(
            "no part is called {unknown}; there are: {}",
            PARTS.iter().map(|part| part.name).collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |part: &&Part| {
        if options.only.is_empty() { part.by_default } else { options.only.iter().any(|name| name == part.name) }
    };
    Ok(PARTS.iter().filter(wanted).collect())
}

fn print_plan(parts: &[&Part], options: &Options) {
    println!("the plan:");
    let mut total = Duration::ZERO;
    for part in parts {
        let (what, time) = (part.plan)(options);
        println!("  {:11} {:>6} {what}", part.name, minutes(time));
        total += time;
    }
    println!("  {:11} {:>6} and what building takes", "in all", minutes(total));
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn prepare(options: Options) -> anyhow::Result<Bench> {
    if !tools::is_root() && options.only.iter().any(|part| part != "offline")
        || !tools::is_root() && options.only.is_empty()
    {
        bail!("live tracing needs root; `cargo xtask bench --only offline` does not");
    }
    stage::sweep();
    if options.only.iter().any(|part| part != "offline") || options.only.is_empty() {
        tools::install(NEEDED)?;
    }
    let l7trace = match &options.l7trace {
        Some(path) => path.canonicalize().with_context(|| format!("no {}", path.display()))?,
        None => {
            tools::run(tools::cargo().args(["build", "--quiet", "--release", "--package", "l7trace"]))?;
            tools::root().join("target/release/l7trace")
        }
    };
    let given = options.l7trace.is_some();
    let mut results = Results::here(if options.quick { "short form (--quick)" } else { "full" });
    if given {
        results.conditions.push(("build".to_owned(), "given by --l7trace, maybe of another commit".to_owned()));
    }
    for (missing, package) in tool::TOOLS
        .iter()
        .filter_map(|tool| Some((tool.name, tool.missing()?)))
        .chain((!tools::has("bpftool")).then_some(("bpftool", "bpftool")))
    {
        results.note(format!("{missing} is not installed, so it is not measured (package {package})"));
    }
    let open_files = stage::raise_open_files();
    Ok(Bench { options, l7trace, results, open_files })
}

/// Runs the parts; one that fails is noted, and the others go on. An error only where interrupted.
fn run_parts(bench: &mut Bench, parts: &[&Part]) -> anyhow::Result<()> {
    for part in parts {
        println!("\n== {}: {}", part.name, part.what);
        if let Err(error) = (part.run)(bench) {
            stop::check()?;
            bench.results.note(format!("{} broke off: {error:#}", part.name));
        }
    }
    Ok(())
}

fn finish(bench: &Bench, before: Option<&Results>, whole: bool) -> anyhow::Result<()> {
    let folder = tools::root().join("target/bench");
    let mut name = if bench.options.quick { "quick" } else { "full" }.to_owned();
    for part in &bench.options.only {
        name += &format!("-{part}");
    }
    let stored = folder.join(name + ".json");
    bench.results.write(&stored)?;
    if let Some(copy) = &bench.options.save {
        bench.results.write(copy)?;
    }
    print!("{}", goals::text(&bench.results));
    if let Some(before) = before {
        bench.results.compare(before);
    }
    println!("\nstored in {}", stored.display());
    // What the project shows of itself comes from whole runs alone.
    if whole && !bench.options.quick && bench.options.only.is_empty() {
        report::write(&bench.results)?;
    }
    Ok(())
}

impl Bench {
    /// Prints what was just measured, and keeps it.
    fn record(&mut self, [part, case, tool]: [&str; 3], figures: &[(&str, f64)]) {
        for (name, value) in figures {
            if !value.is_nan() {
                self.results.add([part, case, tool, name], *value);
            }
        }
    }

    /// Prints figures with the middle of their samples and their spread.
    fn print(&self, part: &str, case: &str, tool: &str, names: &[&str]) {
        let mut line = format!("  {tool:<20}");
        for name in names {
            let Some(samples) = self.results.samples([part, case, tool, name]) else { continue };
            let (low, high) = statistics::spread(samples);
            let middle = store::shown(name, statistics::median(samples));
            let label = match name.rsplit_once('_') {
                Some((label, "ns" | "bytes" | "share" | "ratio")) => label.replace('_', " "),
                Some((label, "rate")) => format!("{}s/s", label.replace('_', " ")),
                _ => name.replace('_', " "),
            };
            line += &format!("  {label} {middle}");
            if samples.len() > 1 {
                line += &format!(" ({}–{})", store::shown(name, low), store::shown(name, high));
            }
        }
        println!("{line}");
    }
}

/// Removes a file that may not be there.
fn remove_file(path: &std::path::Path) {
    // Where it cannot be removed, the folder around it will be.
    let _ = fs::remove_file(path);
}
