//! What a virtual machine said, and what it means.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(crate) const HEAD: &str = "| kernel | source | loads | every call, byte by byte | exchanges right | ledger |\n\
                               |---|---|---|---|---|---|";

/// The sources that the machine tries, by the word that it puts before their lines.
const SOURCES: [&str; 4] = ["packets", "sock", "tracepoints", "auto"];

/// What one kernel came to.
#[derive(Default)]
pub(crate) struct Outcome {
    kernel: String,
    /// By engine, and `filters`: whether the suite passed.
    suites: BTreeMap<String, bool>,
    sources: BTreeMap<String, Source>,
    done: bool,
    exchanges: u64,
}

/// What l7trace did with one source.
#[derive(Default)]
struct Source {
    said: Vec<String>,
    right: BTreeSet<u64>,
    wrong: Vec<String>,
    ledger: Option<String>,
    closed: bool,
}

impl Outcome {
    /// Reads what the machine wrote to its second serial line.
    pub(crate) fn read(text: &str, exchanges: u64) -> Outcome {
        let mut outcome = Outcome { exchanges, ..Outcome::default() };
        for line in text.lines() {
            let line = line.trim_end();
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, rest.split_once(' ')) {
                ("kernel", _) => outcome.kernel = rest.to_owned(),
                ("done", _) => outcome.done = true,
                ("suite", Some((name, result))) => {
                    outcome.suites.insert(name.to_owned(), result == "passed");
                }
                ("said", Some((name, said))) => {
                    outcome.sources.entry(name.to_owned()).or_default().said.push(said.to_owned());
                }
                ("line", Some((name, line))) => {
                    outcome.sources.entry(name.to_owned()).or_default().line(line, name != "packets");
                }
                _ => {}
            }
        }
        outcome
    }

    /// Whether the kernel came as far as to the first program of ours.
    pub(crate) fn has_booted(&self) -> bool {
        !self.kernel.is_empty()
    }

    /// What is not as it should be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.done {
            faults.push(format!("it did not come to its end ({})", if self.has_booted() { "hung" } else { "no boot" }));
        }
        faults.extend(
            self.suites
                .iter()
                .filter(|suite| !suite.1 && !self.is_known_limit(suite.0))
                .map(|suite| format!("the suite {} failed", suite.0)),
        );
        for name in SOURCES {
            let Some(source) = self.sources.get(name) else {
                faults.push(format!("{name}: nothing was said"));
                continue;
            };
            if !source.traced() {
                // An engine that this kernel does not have must say so.
                if !source.is_clear_refusal() {
                    faults.push(format!("{name}: {}", source.said.join(" / ")));
                }
                continue;
            }
            if source.right.len() as u64 != self.exchanges || !source.wrong.is_empty() {
                faults.push(format!(
                    "{name}: {} of {} exchanges; {}",
                    source.right.len(),
                    self.exchanges,
                    source.wrong.join(" / ")
                ));
            }
            if !source.closed {
                faults.push(format!("{name}: the ledger is open: {}", source.ledger.as_deref().unwrap_or("none")));
            }
        }
        faults
    }

    /// Since 7.0 the kernel now and then skips a program of a system call's tracepoint: `docs/kernels.md`.
    fn is_known_limit(&self, suite: &str) -> bool {
        let major = self.kernel.split('.').next().and_then(|number| number.parse::<u32>().ok());
        suite == "tracepoints" && major.is_some_and(|major| major >= 7)
    }

    /// Its rows of the table.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for name in SOURCES {
            let Some(source) = self.sources.get(name) else { continue };
            let said: String = source.said.first().into_iter().flat_map(|said| said.chars()).take(160).collect();
            let suite = match self.suites.get(name) {
                Some(true) => "yes",
                Some(false) if self.is_known_limit(name) => "but for calls that the kernel skipped",
                Some(false) => "**no**",
                None => "–",
            };
            rows.push(if source.traced() {
                let loads = said.trim_start_matches("l7trace: tracing ");
                let right = format!("{} of {}", source.right.len(), self.exchanges);
                let ledger = if source.closed { "closed" } else { "**open**" };
                format!("| {} | {name} | yes: {loads} | {suite} | {right} | {ledger} |", self.kernel)
            } else {
                format!("| {} | {name} | no: {} | – | – | – |", self.kernel, said.trim_start_matches("l7trace: "))
            });
        }
        rows
    }
}

impl Source {
    fn traced(&self) -> bool {
        self.said.iter().any(|said| said.starts_with("l7trace: tracing "))
    }

    fn is_clear_refusal(&self) -> bool {
        self.said.iter().any(|said| said.contains("no tracepoint sock:sock_send_length"))
    }

    /// Takes in a line of l7trace's output: `GET /N` of N times 97 bytes.
    fn line(&mut self, line: &str, knows_processes: bool) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            self.wrong.push(format!("no JSON: {line}"));
            return;
        };
        match value["type"].as_str() {
            Some("exchange") => {
                let number = value["resource"].as_str().and_then(|resource| resource[1..].parse::<u64>().ok());
                let right = number.filter(|number| {
                    value["operation"] == "GET"
                        && value["status"] == "200"
                        && value["outcome"] == "complete"
                        && value["response"]["body_bytes"] == number * 97
                        && (!knows_processes
                            || value["process"]["name"] == "httpd" && value["peer_process"]["name"] == "wget")
                });
                if !right.is_some_and(|number| self.right.insert(number)) {
                    self.wrong.push(line.to_owned());
                }
            }
            Some("summary") => {
                let bytes = &value["bytes"];
                let number = |value: &Value| value.as_u64().unwrap_or(0);
                let lost: u64 = bytes["lost"].as_object().into_iter().flatten().map(|(_, count)| number(count)).sum();
                let seen = number(&bytes["seen"]);
                self.closed = seen > 0 && seen == number(&bytes["delivered"]) + number(&bytes["skipped"]) + lost;
                self.ledger = Some(bytes.to_string());
            }
            _ => {}
        }
    }
}
