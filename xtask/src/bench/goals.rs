//! The goals, and which of them are reached.

use std::fmt::Write as _;

use super::statistics::{median, spread};
use super::store::{Results, shown};

/// A goal, and what was measured of it.
pub(super) struct Goal {
    pub(super) what: &'static str,
    pub(super) goal: &'static str,
    figures: &'static [(Key, Bound)],
}

type Key = [&'static str; 4];

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

pub(super) const GOALS: &[Goal] = &[
    Goal {
        what: "throughput ratio, nginx 1 KB, wrk -c32: packets",
        goal: "≥ 0.95, all reported",
        figures: &[
            (["live", "1KB", "l7trace packets", "throughput_ratio"], AtLeast(0.95)),
            (["live", "1KB", "l7trace packets", "reported_share"], AtLeast(1.0)),
        ],
    },
    Goal {
        what: "the same: sock, both ends traced",
        goal: "≥ 0.93, all reported",
        figures: &[
            (["live", "1KB", "l7trace sock", "throughput_ratio"], AtLeast(0.93)),
            (["live", "1KB", "l7trace sock", "reported_share"], AtLeast(1.0)),
        ],
    },
    Goal {
        what: "the same: tracepoints",
        goal: "≥ 0.85, all reported",
        figures: &[
            (["live", "1KB", "l7trace tracepoints", "throughput_ratio"], AtLeast(0.85)),
            (["live", "1KB", "l7trace tracepoints", "reported_share"], AtLeast(1.0)),
        ],
    },
    Goal {
        what: "p99 latency ratio: packets; sock",
        goal: "≤ 1.10",
        figures: &[
            (["live", "1KB", "l7trace packets", "p99_ratio"], AtMost(1.10)),
            (["live", "1KB", "l7trace sock", "p99_ratio"], AtMost(1.10)),
        ],
    },
    Goal {
        what: "l7trace's own processor time for an exchange: packets; sock",
        goal: "≤ 1 µs",
        figures: &[
            (["live", "1KB", "l7trace packets", "cpu_per_exchange_ns"], AtMost(1_000.0)),
            (["live", "1KB", "l7trace sock", "cpu_per_exchange_ns"], AtMost(1_000.0)),
        ],
    },
    Goal {
        what: "its kernel programs' time for an exchange: packets; sock",
        goal: "≤ 1.2 µs; ≤ 2.5 µs",
        figures: &[
            (["live", "1KB", "l7trace packets", "bpf_per_exchange_ns"], AtMost(1_200.0)),
            (["live", "1KB", "l7trace sock", "bpf_per_exchange_ns"], AtMost(2_500.0)),
        ],
    },
    Goal {
        what: "added to a call without a socket, `sock`: getppid; read or write; file write",
        goal: "0 ns within the noise",
        figures: &[
            (["untraced", "getppid", "l7trace sock", "added_ns"], AtMost(0.0)),
            (["untraced", "read or write of 512 B, no socket", "l7trace sock", "added_ns"], AtMost(0.0)),
            (["untraced", "file write of 4 KB", "l7trace sock", "added_ns"], AtMost(0.0)),
        ],
    },
    Goal {
        what: "`read` against tshark, same facts: one thread; two",
        goal: "≥ 50×; ≥ 80×",
        figures: &[
            (["offline", "small", "l7trace 1 thread", "against_tshark_times"], AtLeast(50.0)),
            (["offline", "small", "l7trace 2 threads", "against_tshark_times"], AtLeast(80.0)),
        ],
    },
    Goal {
        what: "`read` against Suricata's EVE http, one thread each",
        goal: "≥ 10×",
        figures: &[(["offline", "small", "l7trace 1 thread", "against_suricata_times"], AtLeast(10.0))],
    },
    Goal {
        what: "`read`: exchanges/s a core; bodies",
        goal: "≥ 1,000,000; ≥ 3 GB/s",
        figures: &[
            (["offline", "small", "l7trace 1 thread", "per_core_exchange_rate"], AtLeast(1e6)),
            (["offline", "bodies", "l7trace 1 thread", "throughput"], AtLeast(3e9)),
        ],
    },
    Goal {
        what: "memory at 32 connections under full load: packets; sock",
        goal: "≤ 64 MB",
        figures: &[
            (["live", "1KB", "l7trace packets", "memory_bytes"], AtMost(64e6)),
            (["live", "1KB", "l7trace sock", "memory_bytes"], AtMost(64e6)),
        ],
    },
    Goal {
        what: "memory with 100,000 open connections: packets; sock",
        goal: "≤ 256 MB",
        figures: &[
            (["start", "100,000 connections", "l7trace packets", "memory_bytes"], AtMost(256e6)),
            (["start", "100,000 connections", "l7trace sock", "memory_bytes"], AtMost(256e6)),
        ],
    },
    Goal {
        what: "memory late against early at full speed (`--only soak`): packets; sock",
        goal: "flat over 10 minutes",
        figures: &[
            (["soak", "soak", "l7trace packets", "growth_ratio"], AtMost(1.05)),
            (["soak", "soak", "l7trace sock", "growth_ratio"], AtMost(1.05)),
        ],
    },
    Goal {
        what: "ready: packets; sock",
        goal: "≤ 150 ms",
        figures: &[
            (["start", "start", "l7trace packets", "ready_ns"], AtMost(150e6)),
            (["start", "start", "l7trace sock", "ready_ns"], AtMost(150e6)),
        ],
    },
    Goal {
        what: "first line after the first response ends: packets; sock",
        goal: "≤ 50 ms",
        figures: &[
            (["start", "start", "l7trace packets", "first_line_ns"], AtMost(50e6)),
            (["start", "start", "l7trace sock", "first_line_ns"], AtMost(50e6)),
        ],
    },
    Goal {
        what: "processor time when nothing happens: packets; sock",
        goal: "≤ 0.1 %",
        figures: &[
            (["start", "start", "l7trace packets", "idle_share"], AtMost(0.001)),
            (["start", "start", "l7trace sock", "idle_share"], AtMost(0.001)),
        ],
    },
    Goal {
        what: "10 MB bodies, throughput ratio: packets; sock",
        goal: "≥ 0.97",
        figures: &[
            (["live", "10MB", "l7trace packets", "throughput_ratio"], AtLeast(0.97)),
            (["live", "10MB", "l7trace sock", "throughput_ratio"], AtLeast(0.97)),
        ],
    },
];

impl Goal {
    /// What was measured, and whether that reaches the goal; none where nothing was.
    pub(super) fn measured(&self, results: &Results) -> Option<(String, bool)> {
        let mut texts = Vec::new();
        let mut reached = true;
        for (key, bound) in self.figures {
            let Some(samples) = samples(results, *key) else { continue };
            let value = median(samples);
            reached &= match bound {
                AtLeast(least) => value >= *least,
                // A difference of noisy numbers is none where it is smaller than what they differ by without.
                AtMost(0.0) => value <= noise(results, *key),
                AtMost(most) => value <= *most,
            };
            texts.push(with_spread(key[3], samples));
        }
        (!texts.is_empty()).then(|| (texts.join("; "), reached))
    }
}

/// Of a reader that does not know of threads, there is one.
fn samples(results: &Results, key: Key) -> Option<&[f64]> {
    results.samples(key).or_else(|| {
        let [part, case, tool, name] = key;
        (tool == "l7trace 1 thread").then(|| results.samples([part, case, "l7trace", name])).flatten()
    })
}

/// How far the same call's cost goes apart without any tool.
fn noise(results: &Results, [part, case, _, _]: Key) -> f64 {
    results.samples([part, case, "without", "cost_ns"]).map_or(0.0, |samples| {
        let (low, high) = spread(samples);
        high - low
    })
}

pub(super) fn with_spread(name: &str, samples: &[f64]) -> String {
    let (low, high) = spread(samples);
    let middle = shown(name, median(samples));
    let (low, high) = (shown(name, low), shown(name, high));
    if low == high { middle } else { format!("{middle} ({low} to {high})") }
}

/// The goals of which something was measured, for the terminal.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::new();
    let measured = GOALS.iter().filter_map(|goal| Some((goal, goal.measured(results)?)));
    for (index, (goal, (measured, reached))) in measured.enumerate() {
        if index == 0 {
            text.push_str("\n== the goals\n");
        }
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "  {} {}\n      goal {}, measured {measured}",
            if reached { "✓" } else { "✗" },
            goal.what,
            goal.goal
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let mut results = Results::default();
        assert!(text(&results).is_empty());
        results.add(["live", "10MB", "l7trace packets", "throughput_ratio"], 0.96);
        assert!(text(&results).contains("✗ 10 MB bodies"));
        results.add(["live", "10MB", "l7trace packets", "throughput_ratio"], 0.99);
        assert!(text(&results).contains("✓ 10 MB bodies"));
        assert!(text(&results).contains("0.975 (0.960 to 0.990)"));
    }

    #[test]
    fn less_than_the_noise_is_nothing() {
        for (added, mark) in [(4.0, "✓"), (-1.0, "✓"), (6.0, "✗")] {
            let mut results = Results::default();
            results.add(["untraced", "getppid", "without", "cost_ns"], 100.0);
            results.add(["untraced", "getppid", "without", "cost_ns"], 105.0);
            results.add(["untraced", "getppid", "l7trace sock", "added_ns"], added);
            assert!(text(&results).contains(&format!("{mark} added to a call")));
        }
    }
}
