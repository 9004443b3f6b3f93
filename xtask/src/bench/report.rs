//! What was measured as a page: docs/performance.md with its plots.

use std::fs;

use super::goals::{GOALS, with_spread};
use super::load::LOADS;
use super::statistics::median;
use super::store::{Results, shown};
use super::tool::TOOLS;
use super::{offline, plot};
use crate::tools;

/// Writes docs/performance.md and its plots.
pub(crate) fn write(results: &Results) -> anyhow::Result<()> {
    let docs = tools::root().join("docs");
    let mut plots = Vec::new();
    for (name, drawn) in [
        ("performance.svg", plot::live(results)),
        ("saturation.svg", plot::saturation(results)),
        ("reading.svg", plot::reading(results)),
    ] {
        let Some(drawn) = drawn else { continue };
        fs::write(docs.join(name), drawn)?;
        plots.push(name);
    }
    fs::write(docs.join("performance.md"), page(results, &plots))?;
    println!("written: docs/performance.md, {}", plots.join(", "));
    Ok(())
}

fn page(results: &Results, plots: &[&str]) -> String {
    let mut page = Page(String::from("# Performance\n\n"));
    page.line(
        "Measured by `cargo xtask bench`, which wrote this page. Parts that were measured at another time are named behind\ntheir conditions:\n",
    );
    page.row(&["", ""]);
    page.row(&["---", "---"]);
    for (name, value) in results.conditions.iter().filter(|(_, value)| !value.is_empty()) {
        page.row(&[name, value]);
    }
    page.line("");
    page.plot(plots, "performance.svg", "throughput kept and exchanges reported, by tool");
    page.goals(results);
    page.live(results);
    page.saturation(results, plots);
    page.untraced(results);
    page.start(results);
    page.offline(results, plots);
    page.line(HOW);
    if !results.notes.is_empty() {
        page.line("## Not measured\n");
        for note in &results.notes {
            page.line(&format!("- {}", note.replace('\n', " ")));
        }
    }
    format!("{}\n", page.0.trim_end())
}

const HOW: &str = "## How it is measured

- Servers and load generators are real (nginx, mosquitto; wrk, h2load), in a network namespace of their own, over loopback. A rate is kept by a generator of the bench's own, which counts what a request waits for its turn as latency. nginx has a worker for each core, wrk a thread for each, so that whatever a tool takes is missing.
- Files are served without `sendfile`, nginx's default: every byte goes through two system calls, which is the hardest case for a tracer.
- Runs alternate: one without, one or two with a tool, one without, in changing order; each ratio is between two runs side by side. Figures are medians, in brackets the least and the greatest.
- *Reported*: exchanges that the tool tells of with question and answer, of those that the generator counts. Some are under way when a run ends; nginx counts requests as well, and what lies between the two counts is taken as all. httpry and ngrep print questions and answers apart: the rarer of both is counted. tcpdump tells of packets, so its share of packets dropped is given instead.
- *Lost*: bytes that l7trace's own account calls lost.
- A tool has three seconds after each run to catch up. Processor time is all of its threads' and children's, user and system, from ready to then; memory is the most that was resident.
- The kernel's time in l7trace's programs comes from `kernel.bpf_stats_enabled`, in a run of its own, since counting takes time too.
- l7trace writes JSON lines to a file, tshark the same facts as fields, Suricata one EVE record an exchange, without rules. A slow reader is given a smaller capture of the same kind: only rates are compared.
";

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn row(&mut self, cells: &[&str]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    fn header(&mut self, cells: &[&str]) {
        self.row(cells);
        self.row(&vec!["---"; cells.len()]);
    }

    fn plot(&mut self, plots: &[&str], name: &str, what: &str) {
        if plots.contains(&name) {
            self.line(&format!("![{what}]({name})\n"));
        }
    }

    fn goals(&mut self, results: &Results) {
        self.line("## Goals\n");
        self.header(&["", "goal", "measured", ""]);
        for goal in GOALS {
            match goal.measured(results) {
                Some((measured, reached)) => {
                    self.row(&[goal.what, goal.goal, &measured, if reached { "✓" } else { "✗" }])
                }
                None => self.row(&[goal.what, goal.goal, "not in this run", ""]),
            }
        }
        self.line("");
    }

    fn live(&mut self, results: &Results) {
        let loads: Vec<_> = LOADS
            .iter()
            .filter(|load| results.samples(["live", load.name, "without", "request_rate"]).is_some())
            .collect();
        if loads.is_empty() {
            return;
        }
        self.line("## Under load\n");
        for load in loads {
            let base = |name: &str| {
                results
                    .samples(["live", load.name, "without", name])
                    .map_or_else(String::new, |samples| with_spread(name, samples))
            };
            let mut without = format!("**{}**: {} requests a second without a tool", load.what, base("request_rate"));
            for (label, name) in [("p50", "p50_ns"), ("p99", "p99_ns")] {
                let value = base(name);
                if !value.is_empty() {
                    without += &format!(", {label} {value}");
                }
            }
            self.line(&format!("{without}.\n"));
            self.header(&[
                "tool",
                "throughput ratio",
                "p50 ratio",
                "p99 ratio",
                "CPU an exchange",
                "memory",
                "reported",
                "lost or dropped",
            ]);
            for tool in TOOLS {
                let cell = |name: &str| {
                    results.samples(["live", load.name, tool.name, name]).map(|samples| with_spread(name, samples))
                };
                let Some(ratio) = cell("throughput_ratio") else { continue };
                let other = |name: &str| cell(name).unwrap_or_default();
                let single = |name: &str| {
                    results
                        .median(["live", load.name, tool.name, name])
                        .map(|value| shown(name, value))
                        .unwrap_or_default()
                };
                let pairs = results.median(["live", load.name, tool.name, "pairs_flag"]) == Some(1.0);
                let reported =
                    cell("reported_share").map(|share| if pairs { share } else { format!("{share}, not paired") });
                let lost = cell("lost_share").or_else(|| cell("dropped_share")).map(|share| zero_share(&share));
                self.row(&[
                    tool.name,
                    &ratio,
                    &other("p50_ratio"),
                    &other("p99_ratio"),
                    &single("cpu_per_exchange_ns"),
                    &single("memory_bytes"),
                    &reported.unwrap_or_default(),
                    &lost.unwrap_or_default(),
                ]);
            }
            self.line("");
        }
        let kernel: Vec<_> = TOOLS
            .iter()
            .filter_map(|tool| {
                let figure = |name: &str| {
                    results.median(["live", LOADS[0].name, tool.name, name]).map(|value| shown(name, value))
                };
                Some([
                    tool.name.to_owned(),
                    figure("bpf_per_exchange_ns")?,
                    figure("bpf_per_event_ns")?,
                    figure("bpf_events_per_exchange")?,
                ])
            })
            .collect();
        if !kernel.is_empty() {
            self.line("In the kernel, under the first of these loads:\n");
            self.header(&["", "an exchange", "a run of a program", "runs an exchange"]);
            for row in &kernel {
                self.row(&row.each_ref().map(String::as_str));
            }
            self.line("");
        }
    }

    fn saturation(&mut self, results: &Results, plots: &[&str]) {
        let Some(most) = results.median(["saturation", "100", "host", "request_rate"]) else { return };
        self.line("## From a tenth of what the host can do to all of it\n");
        self.plot(plots, "saturation.svg", "exchanges reported, latency and processor time by the rate of requests");
        self.line(&format!(
            "64 connections that stay, 1 KB; without a tool the host answers {} requests a second.\n",
            shown("request_rate", most)
        ));
        self.header(&["rate", "tool", "rate kept", "added p50", "added p99", "reported", "CPU, cores"]);
        for point in 1..=100 {
            for tool in TOOLS {
                let case = point.to_string();
                let cell = |name: &str| {
                    results
                        .median(["saturation", &case, tool.name, name])
                        .map(|value| shown(name, value))
                        .unwrap_or_default()
                };
                if cell("cpu_cores").is_empty() {
                    continue;
                }
                self.row(&[
                    &format!("{point} %"),
                    tool.name,
                    &cell("achieved_share"),
                    &cell("added_p50_ns"),
                    &cell("added_p99_ns"),
                    &cell("reported_share"),
                    &cell("cpu_cores"),
                ]);
            }
        }
        self.line("");
    }

    fn untraced(&mut self, results: &Results) {
        let cases: Vec<&str> = results
            .figures
            .iter()
            .filter(|figure| figure.part == "untraced" && figure.tool == "without")
            .map(|figure| figure.case.as_str())
            .collect();
        if cases.is_empty() {
            return;
        }
        self.line("## What it costs those who are not traced\n");
        self.line("Processor time of one call, without l7trace and what each engine adds; of sockets also those that are traced.\n");
        let engines: Vec<&str> = TOOLS
            .iter()
            .map(|tool| tool.name)
            .filter(|tool| results.samples(["untraced", cases[0], tool, "added_ns"]).is_some())
            .collect();
        let mut header = vec!["", "without"];
        header.extend(&engines);
        self.header(&header);
        for case in cases {
            let mut row = vec![
                case.to_owned(),
                results
                    .samples(["untraced", case, "without", "cost_ns"])
                    .map_or_else(String::new, |samples| shown("cost_ns", median(samples))),
            ];
            for engine in &engines {
                let added = results.samples(["untraced", case, engine, "added_ns"]);
                row.push(added.map_or_else(String::new, |samples| with_spread("added_ns", samples)));
            }
            self.row(&row.iter().map(String::as_str).collect::<Vec<_>>());
        }
        self.line("");
    }

    fn start(&mut self, results: &Results) {
        let started: Vec<_> =
            TOOLS.iter().filter(|tool| results.samples(["start", "start", tool.name, "ready_ns"]).is_some()).collect();
        if started.is_empty() {
            return;
        }
        self.line("## Start, idleness, memory\n");
        self.header(&[
            "",
            "ready",
            "first line after the first response",
            "processor time when idle",
            "memory when idle",
            "memory with open connections",
        ]);
        for tool in started {
            let cell = |name: &str| {
                results
                    .samples(["start", "start", tool.name, name])
                    .map(|samples| with_spread(name, samples))
                    .unwrap_or_default()
            };
            let held = results.figures.iter().find(|figure| {
                figure.part == "start" && figure.tool == tool.name && figure.case.ends_with(" connections")
            });
            let held =
                held.map(|figure| format!("{} with {}", shown("memory_bytes", median(&figure.samples)), figure.case));
            self.row(&[
                tool.name,
                &cell("ready_ns"),
                &cell("first_line_ns"),
                &zero_share(&cell("idle_share")),
                &cell("memory_bytes"),
                &held.unwrap_or_default(),
            ]);
        }
        self.line("");
    }

    fn offline(&mut self, results: &Results, plots: &[&str]) {
        if !results.figures.iter().any(|figure| figure.part == "offline") {
            return;
        }
        self.line("## Reading captures\n");
        self.plot(plots, "reading.svg", "exchanges read in a second");
        self.header(&[
            "capture",
            "reader",
            "exchanges/s",
            "exchanges/s a core",
            "GB/s",
            "cores used",
            "memory",
            "reported",
        ]);
        for (case, what) in offline::cases() {
            let mut readers: Vec<&str> = Vec::new();
            for figure in results.figures.iter().filter(|figure| figure.part == "offline" && figure.case == case) {
                if !readers.contains(&figure.tool.as_str()) {
                    readers.push(&figure.tool);
                }
            }
            for reader in readers {
                let cell = |name: &str| {
                    results
                        .samples(["offline", case, reader, name])
                        .map(|samples| with_spread(name, samples))
                        .unwrap_or_default()
                };
                let single = |name: &str| {
                    results.median(["offline", case, reader, name]).map(|value| shown(name, value)).unwrap_or_default()
                };
                self.row(&[
                    what,
                    reader,
                    &cell("exchange_rate"),
                    &single("per_core_exchange_rate"),
                    &single("throughput"),
                    &single("cpu_cores"),
                    &single("memory_bytes"),
                    &single("reported_share"),
                ]);
            }
        }
        self.line("");
    }
}

/// Nothing is not 0.00 %.
fn zero_share(text: &str) -> String {
    if text == "0.00 %" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_is_missing() {
        let mut results = Results { conditions: vec![("kernel".to_owned(), "6.1".to_owned())], ..Results::default() };
        results.notes.push("suricata is not installed".to_owned());
        let page = page(&results, &[]);
        assert!(
            page.contains("| kernel | 6.1 |")
                && page.contains("- suricata is not installed")
                && page.contains("not in this run")
        );
    }
}
