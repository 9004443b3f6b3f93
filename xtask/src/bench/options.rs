//! The arguments of `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::load::{LOADS, Load};
use super::tool::{TOOLS, Tool};

pub(crate) const USAGE: &str = "usage: cargo xtask bench [OPTIONS]

    --quick            a couple of minutes, for every day
    --only PART        only this part; repeatable
    --tool NAME        only tools whose name contains this; repeatable
    --load NAME        only this load of the live part; repeatable
    --pairs N          pairs of runs, without and with the tool
    --seconds N        how long each run under load takes
    --against FILE     compare with stored results
    --save FILE        store the results there too (always: target/bench/)
    --l7trace FILE     measure this build instead of building
    --report FILE      write docs/performance.md from stored results, and measure nothing; repeatable: what
                       the first lacks is taken from the next
    --micro            the micro benches
    --plan             print what would be done and how long it would take

parts:
";

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) quick: bool,
    pub(crate) micro: bool,
    pub(crate) plan_only: bool,
    pub(crate) only: Vec<String>,
    pub(crate) against: Option<PathBuf>,
    pub(crate) save: Option<PathBuf>,
    pub(crate) report: Vec<PathBuf>,
    pub(crate) l7trace: Option<PathBuf>,
    tools: Vec<String>,
    loads: Vec<String>,
    pairs: Option<usize>,
    seconds: Option<u64>,
}

impl Options {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Options> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--help" | "-h" => options.help = true,
                "--quick" => options.quick = true,
                "--micro" => options.micro = true,
                "--plan" => options.plan_only = true,
                "--only" => options.only.push(value()?.clone()),
                "--tool" => options.tools.push(value()?.clone()),
                "--load" => options.loads.push(value()?.clone()),
                "--pairs" => options.pairs = Some(value()?.parse::<usize>().context("--pairs wants a number")?.max(1)),
                "--seconds" => {
                    options.seconds = Some(value()?.parse::<u64>().context("--seconds wants a number")?.clamp(1, 600))
                }
                "--against" => options.against = Some(value()?.into()),
                "--save" => options.save = Some(value()?.into()),
                "--report" => options.report.push(value()?.into()),
                "--l7trace" => options.l7trace = Some(value()?.into()),
                other => bail!("no such option: {other}\n\n{USAGE}"),
            }
        }
        if let Some(unknown) = options.loads.iter().find(|name| LOADS.iter().all(|load| load.name != **name)) {
            bail!(
                "no load is called {unknown}; there are: {}",
                LOADS.iter().map(|load| load.name).collect::<Vec<_>>().join(", ")
            );
        }
        if let Some(unknown) = options.tools.iter().find(|name| !TOOLS.iter().any(|tool| tool.name.contains(*name))) {
            bail!(
                "no tool is called {unknown}; there are: {}",
                TOOLS.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ")
            );
        }
        Ok(options)
    }

    /// How many pairs: what was asked for, else so many in full and in short.
    pub(crate) fn pairs(&self, full: usize, quick: usize) -> usize {
        self.pairs.unwrap_or(if self.quick { quick } else { full })
    }

    /// How long a run takes: what was asked for, else so long in full and in short.
    pub(crate) fn seconds(&self, full: u64, quick: u64) -> u64 {
        self.seconds.unwrap_or(if self.quick { quick } else { full })
    }

    /// Whether something that only a full run does by itself was asked for by name.
    pub(crate) fn names_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Whether a tool was asked for; all are where none was named.
    pub(crate) fn wants(&self, tool: &Tool) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|name| tool.name.contains(name))
    }

    /// The loads that were asked for: in short, some.
    pub(crate) fn loads(&self) -> Vec<&'static Load> {
        let wanted = |load: &&Load| {
            if self.loads.is_empty() {
                !self.quick || QUICK_LOADS.contains(&load.name)
            } else {
                self.loads.iter().any(|name| name == load.name)
            }
        };
        LOADS.iter().filter(wanted).collect()
    }
}

/// The loads of the short form.
const QUICK_LOADS: &[&str] = &["1KB", "10MB", "close", "http2"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> anyhow::Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_unknown_is_said() {
        assert!(parse("--quick --only live --pairs 3 --load 1KB --tool tcpdump").is_ok());
        for wrong in ["--fast", "--pairs", "--pairs x", "--load 2KB", "--tool nothing"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_choose() {
        let options = parse("--quick --tool packets --load mqtt --pairs 7").unwrap();
        assert_eq!(TOOLS.iter().filter(|tool| options.wants(tool)).count(), 1);
        assert_eq!(options.loads().iter().map(|load| load.name).collect::<Vec<_>>(), ["mqtt"]);
        assert_eq!((options.pairs(5, 2), options.seconds(3, 1)), (7, 1));
    }
}
