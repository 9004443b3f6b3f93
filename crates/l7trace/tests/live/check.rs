//! Holds what was told against what was done.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::{Value, json};

use crate::case::Expected;
use crate::play::Play;
use crate::tracer::{Mode, Traced};

/// Everything that is wrong, said at once.
pub(crate) struct Report {
    name: String,
    wrong: Vec<String>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Report {
        Report { name: name.to_owned(), wrong: Vec::new() }
    }

    pub(crate) fn wrong(&mut self, what: impl Display) {
        let what = what.to_string();
        // A line may hold 64 KB of headers.
        self.wrong.push(what.chars().take(1_500).collect());
    }

    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: impl Display, found: T, expected: T) {
        if found != expected {
            self.wrong(format!("{what}: {found:?}, not {expected:?}"));
        }
    }

    /// # Panics
    /// Where something was wrong.
    pub(crate) fn finish(self) {
        assert!(self.wrong.is_empty(), "{}: {} wrong:\n{}", self.name, self.wrong.len(), self.wrong.join("\n"));
    }
}

/// The id that an exchange carries: in its request, or where that was not seen in its response.
pub(crate) fn id(exchange: &Value) -> Option<&str> {
    exchange["resource"].as_str().or_else(|| response_id(exchange))
}

/// The id that the response carries.
pub(crate) fn response_id(exchange: &Value) -> Option<&str> {
    let headers = exchange["response"]["headers"].as_array()?;
    let is_id = |header: &&Value| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("X-Id"));
    headers.iter().find(is_id)?[1].as_str()
}

/// Every expected exchange is told once, right; nothing else is.
pub(crate) fn check(report: &mut Report, mode: &Mode, traced: &Traced, plays: &[Play]) {
    ended_well(report, traced);
    let mut told: HashMap<&str, Vec<&Value>> = HashMap::new();
    let mut nameless = Vec::new();
    for exchange in traced.exchanges() {
        match id(exchange) {
            Some(id) => told.entry(id).or_default().push(exchange),
            None => nameless.push(exchange),
        }
    }
    for play in plays {
        for expected in &play.case.expected {
            let lines = told.remove(expected.resource.as_str()).unwrap_or_default();
            match lines[..] {
                [line] => check_line(report, mode, play, expected, line),
                [] if expected.optional => {}
                _ => report.wrong(format!("{}: told {} times {lines:?}", expected.resource, lines.len())),
            }
        }
    }
    told.values().flatten().for_each(|line| report.wrong(format!("beyond what was done: {line}")));
    // A response whose beginning is older than the tracer may be told, as what it is.
    let old: Vec<u16> = plays.iter().filter(|play| play.case.is_old()).filter_map(|play| Some(play.ports?.0)).collect();
    for line in nameless {
        let is_old = line["client"]["port"].as_u64().is_some_and(|port| old.iter().any(|old| u64::from(*old) == port));
        if !is_old || (line["outcome"] != "partial" && line["outcome"] != "response_only") {
            report.wrong(format!("without an id: {line}"));
        }
    }
    let bytes: u64 = plays.iter().map(|play| play.case.traced_bytes()).sum();
    check_ledger(report, traced, bytes);
}

/// It ended as it should, and said nothing but that it is ready.
pub(crate) fn ended_well(report: &mut Report, traced: &Traced) {
    report.equal("status", traced.status.code(), Some(0));
    for line in traced.said.lines().filter(|line| !line.starts_with("l7trace: tracing ")) {
        report.wrong(format!("said: {line}"));
    }
}

/// Nothing is lost, everything is accounted for, and what was seen is what was moved.
pub(crate) fn check_ledger(report: &mut Report, traced: &Traced, moved: u64) {
    if let Some((seen, lost)) = check_accounts(report, traced) {
        report.equal("lost", lost, 0);
        report.equal("seen", seen, moved);
    }
}

/// Everything is accounted for; how many bytes were seen, and how many of them were lost.
pub(crate) fn check_accounts(report: &mut Report, traced: &Traced) -> Option<(u64, u64)> {
    let Some(summary) = traced.lines.last().filter(|line| line["type"] == "summary") else {
        report.wrong("no summary");
        return None;
    };
    let bytes = &summary["bytes"];
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let lost: u64 = bytes["lost"].as_object().into_iter().flat_map(|lost| lost.values()).map(number).sum();
    let accounted = number(&bytes["delivered"]).saturating_add(number(&bytes["skipped"])).saturating_add(lost);
    report.equal(format!("the ledger {bytes}"), accounted, number(&bytes["seen"]));
    Some((number(&bytes["seen"]), lost))
}

fn check_line(report: &mut Report, mode: &Mode, play: &Play, expected: &Expected, line: &Value) {
    let name = &expected.resource[..expected.resource.len().min(60)];
    let mut wrong = Vec::new();
    let mut equal = |what: &str, found: &Value, expected: Value| {
        if *found != expected {
            wrong.push(format!("{what} {found}, not {expected}"));
        }
    };
    let outcome = line["outcome"].as_str().unwrap_or_default();
    if !expected.outcomes.contains(&outcome) {
        equal("outcome", &line["outcome"], json!(expected.outcomes));
    }
    if expected.request.is_some() {
        equal("operation", &line["operation"], json!(expected.operation));
        equal("resource", &line["resource"], json!(expected.resource));
    }
    if let Some(status) = &expected.status {
        equal("status", &line["status"], json!(status));
        equal("response's id", &json!(response_id(line)), json!(expected.resource));
    } else {
        equal("status", &line["status"], Value::Null);
    }
    for (side, counts) in [("request", expected.request), ("response", expected.response)] {
        if let Some((bytes, body)) = counts {
            equal(&format!("{side} bytes"), &line[side]["bytes"], json!(bytes));
            equal(&format!("{side} body_bytes"), &line[side]["body_bytes"], json!(body));
        }
    }
    if expected.request.is_some() && expected.response.is_some() {
        equal("lost_bytes", &line["lost_bytes"], json!(0));
    }
    if let Some((client, server)) = play.ports {
        equal("client port", &line["client"]["port"], json!(client));
        equal("server port", &line["server"]["port"], json!(server));
    }
    let tcp = play.case.transport.is_tcp();
    let witnesses: Vec<&str> = [("packets", mode.packets && tcp), ("syscalls", mode.syscalls)]
        .iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| *name)
        .collect();
    equal("witnesses", &line["witnesses"], json!(witnesses));
    if mode.syscalls {
        equal("process", &line["process"]["pid"], json!(std::process::id()));
        equal("peer process", &line["peer_process"]["pid"], json!(std::process::id()));
        equal("side", &line["process"]["side"], json!("server"));
    }
    if !wrong.is_empty() {
        report.wrong(format!("{name}: {}: {line}", wrong.join("; ")));
    }
}
