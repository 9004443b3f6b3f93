//! What was measured, kept as JSON, and compared with what was kept before.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::statistics::{median, spread};
use crate::tools;

/// One thing that was measured, once or several times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// The part of the bench.
    pub(crate) part: String,
    /// The load, the capture, the program.
    pub(crate) case: String,
    /// Of whom.
    pub(crate) tool: String,
    /// What: its name ends with its unit.
    pub(crate) name: String,
    pub(crate) samples: Vec<f64>,
}

/// Everything that a run of the bench measured, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    /// On what and how it was made: name and value.
    pub(crate) conditions: Vec<(String, String)>,
    pub(crate) figures: Vec<Figure>,
    /// What was not measured and why.
    pub(crate) notes: Vec<String>,
}

impl Results {
    /// Results without figures, made here and now.
    pub(crate) fn here(how: &str) -> Results {
        let system = rustix::system::uname();
        let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let conditions = [
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("l7trace", said("git", &["describe", "--always", "--dirty"])),
            ("kernel", format!("{} {}", word(system.release()), word(system.machine()))),
            ("processor", processor.map_or_else(String::new, |(_, name)| name.to_owned())),
            ("cores", super::load::cores().to_string()),
            ("memory", memory.map_or_else(String::new, |kilobytes| format!("{:.0} GB", kilobytes as f64 / 1e6))),
            ("load average before", load.split_whitespace().next().unwrap_or_default().to_owned()),
            ("run", how.to_owned()),
        ];
        let conditions = conditions.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Results { conditions, ..Results::default() }
    }

    /// Adds a sample of a figure.
    pub(crate) fn add(&mut self, [part, case, tool, name]: [&str; 4], sample: f64) {
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.is([part, case, tool, name])) {
            figure.samples.push(sample);
            return;
        }
        let [part, case, tool, name] = [part, case, tool, name].map(str::to_owned);
        self.figures.push(Figure { part, case, tool, name, samples: vec![sample] });
    }

    /// The samples of a figure; none where it was not measured.
    pub(crate) fn samples(&self, key: [&str; 4]) -> Option<&[f64]> {
        Some(&self.figures.iter().find(|figure| figure.is(key))?.samples)
    }

    /// The middle one of a figure's samples.
    pub(crate) fn median(&self, key: [&str; 4]) -> Option<f64> {
        self.samples(key).map(median)
    }

    /// Takes the parts that these lack from others, with the conditions under which those were made.
    pub(crate) fn complete_with(&mut self, other: Results) {
        let own: Vec<String> = self.figures.iter().map(|figure| figure.part.clone()).collect();
        let taken: Vec<Figure> = other.figures.into_iter().filter(|figure| !own.contains(&figure.part)).collect();
        let mut parts: Vec<&str> = taken.iter().map(|figure| figure.part.as_str()).collect();
        parts.dedup();
        if parts.is_empty() {
            return;
        }
        let names = parts.join(", ");
        for (name, value) in other.conditions {
            if !self.conditions.iter().any(|(known, other)| known.split(" (").next() == Some(&name) && *other == value)
            {
                self.conditions.push((format!("{name} ({names})"), value));
            }
        }
        for note in other.notes.into_iter().filter(|note| !self.notes.contains(note)).collect::<Vec<_>>() {
            self.notes.push(note);
        }
        self.figures.extend(taken);
    }

    /// Says why something was not measured.
    pub(crate) fn note(&mut self, note: String) {
        println!("  ! {note}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Writes them as JSON.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let figures: Vec<Value> = self.figures.iter().map(|figure| json!({
            "part": figure.part, "case": figure.case, "tool": figure.tool, "figure": figure.name, "samples": figure.samples,
        })).collect();
        let conditions: Vec<Value> = self.conditions.iter().map(|(name, value)| json!([name, value])).collect();
        let all = json!({"format": 1, "conditions": conditions, "notes": self.notes, "figures": figures});
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads what was written.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Results> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let all: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        if all["format"] != 1 {
            bail!("{} is not what `cargo xtask bench` stores", file.display());
        }
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list_of_figures = list(&all["figures"]);
        let figures = list_of_figures.iter().map(|figure| Figure {
            part: word(&figure["part"]),
            case: word(&figure["case"]),
            tool: word(&figure["tool"]),
            name: word(&figure["figure"]),
            samples: list(&figure["samples"]).iter().filter_map(Value::as_f64).collect(),
        });
        Ok(Results {
            conditions: list(&all["conditions"]).iter().map(|pair| (word(&pair[0]), word(&pair[1]))).collect(),
            notes: list(&all["notes"]).iter().map(word).collect(),
            figures: figures.collect(),
        })
    }

    /// Prints each figure beside what it was before; marks those whose samples lie wholly apart.
    pub(crate) fn compare(&self, before: &Results) {
        println!(
            "\n== against {}",
            before.conditions.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
        );
        println!("{:<52} {:>12} {:>12} {:>8}", "", "before", "now", "change");
        for figure in &self.figures {
            let key = [&*figure.part, &*figure.case, &*figure.tool, &*figure.name];
            let Some(old) = before.samples(key) else { continue };
            let (was, is) = (median(old), median(&figure.samples));
            let ((old_low, old_high), (low, high)) = (spread(old), spread(&figure.samples));
            let apart = low > old_high || high < old_low;
            let change = if was == 0.0 { 0.0 } else { (is / was - 1.0) * 100.0 };
            let mark = if apart && change.abs() > 2.0 { "*" } else { "" };
            println!(
                "{:<52} {:>12} {:>12} {change:>+7.1}% {mark}",
                key.join(" "),
                shown(&figure.name, was),
                shown(&figure.name, is)
            );
        }
        println!("* the samples of both lie wholly apart");
    }
}

impl Figure {
    fn is(&self, [part, case, tool, name]: [&str; 4]) -> bool {
        self.part == part && self.case == case && self.tool == tool && self.name == name
    }
}

/// A figure as people read it, by the unit that its name ends with.
pub(crate) fn shown(name: &str, value: f64) -> String {
    let unit = name.rsplit('_').next().unwrap_or_default();
    match unit {
        _ if value.is_nan() => "–".to_owned(),
        "ratio" => format!("{value:.3}"),
        // More than all is a finding, not a rounding error.
        "share" if value > 1.0 => format!("{:.2} %", (value * 1e4).ceil() / 100.0),
        "share" if value == 1.0 => "100 %".to_owned(),
        // 99.99 % is not all.
        "share" => format!("{:.2} %", (value * 1e4).floor() / 100.0),
        "ns" if value.abs() >= 1e9 => format!("{:.2} s", value / 1e9),
        "ns" if value.abs() >= 1e6 => format!("{:.1} ms", value / 1e6),
        "ns" if value.abs() >= 1e4 => format!("{:.1} µs", value / 1e3),
        "ns" => format!("{value:.0} ns"),
        "bytes" if value >= 1e9 => format!("{:.2} GB", value / 1e9),
        "bytes" => format!("{:.1} MB", value / 1e6),
        "throughput" => format!("{:.2} GB/s", value / 1e9),
        "rate" => thousands(value),
        _ => format!("{value:.2}"),
    }
}

/// `1,234,567`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "−".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(tools::root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut results = Results { conditions: vec![("date".to_owned(), "today".to_owned())], ..Results::default() };
        results.add(["live", "1KB", "tcpdump", "throughput_ratio"], 0.9);
        results.add(["live", "1KB", "tcpdump", "throughput_ratio"], 0.8);
        results.note("suricata is not installed".to_owned());
        let file = std::env::temp_dir().join(format!("l7trace-bench-test-{}.json", std::process::id()));
        results.write(&file).unwrap();
        let read = Results::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(read.figures, results.figures);
        assert_eq!((read.conditions, read.notes), (results.conditions, results.notes));
    }

    #[test]
    fn other_parts_come_with_their_conditions() {
        let made = |date: &str, parts: &[&str]| {
            let mut results = Results { conditions: vec![("date".to_owned(), date.to_owned())], ..Results::default() };
            for part in parts {
                results.add([part, "case", "tool", "p99_ratio"], 1.0);
            }
            results
        };
        let mut results = made("today", &["live"]);
        results.complete_with(made("yesterday", &["live", "soak"]));
        let parts: Vec<&str> = results.figures.iter().map(|figure| figure.part.as_str()).collect();
        assert_eq!(parts, ["live", "soak"]);
        assert_eq!(results.conditions[1], ("date (soak)".to_owned(), "yesterday".to_owned()));
    }

    #[test]
    fn figures_are_shown_with_their_unit() {
        for (name, value, text) in [
            ("throughput_ratio", 0.95, "0.950"),
            ("reported_share", 0.99999, "99.99 %"),
            ("reported_share", 1.0, "100 %"),
            ("reported_share", 1.00001, "100.01 %"),
            ("cpu_per_exchange_ns", 1_234.4, "1234 ns"),
            ("ready_ns", 150_000_000.0, "150.0 ms"),
            ("memory_bytes", 64e6, "64.0 MB"),
            ("exchange_rate", 1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(shown(name, value), text);
        }
    }
}
