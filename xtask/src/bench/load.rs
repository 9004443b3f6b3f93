//! The loads: what is asked, by what generator, and what that says of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::process;
use super::server;
use super::stage::Stage;

/// One kind of load.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) protocol: Protocol,
    generator: Generator,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Mqtt,
}

enum Generator {
    /// wrk: a path, connections, further arguments, a script.
    Wrk { path: &'static str, connections: u32, header: Option<&'static str>, script: Option<&'static str> },
    /// h2load: a path, connections, streams at once on each.
    H2load { path: &'static str, connections: u32, streams: u32 },
    /// Our own, each connection asking again as soon as it is answered.
    Publish { connections: u32 },
}

/// Every load. The first is the one by which the tools are compared in full.
pub(crate) const LOADS: &[Load] = &[
    wrk("1KB", "1 KB, 32 connections that stay", "/1k", 32),
    wrk("100KB", "100 KB, 32 connections that stay", "/100k", 32),
    wrk("10MB", "10 MB, 8 connections that stay", "/10m", 8),
    Load {
        name: "close",
        what: "1 KB, a connection for each request, 32 at once",
        protocol: Protocol::Http1,
        generator: Generator::Wrk { path: "/1k", connections: 32, header: Some("Connection: close"), script: None },
    },
    wrk("1000", "1 KB, 1,000 connections", "/1k", 1_000),
    wrk("10000", "1 KB, 10,000 connections", "/1k", 10_000),
    Load {
        name: "pipelined",
        what: "1 KB, 32 connections, 16 requests sent at once",
        protocol: Protocol::Http1,
        generator: Generator::Wrk { path: "/1k", connections: 32, header: None, script: Some(PIPELINED) },
    },
    Load {
        name: "http2",
        what: "HTTP/2, 1 KB, 32 connections, 10 streams at once on each",
        protocol: Protocol::Http2,
        generator: Generator::H2load { path: "/1k", connections: 32, streams: 10 },
    },
    Load {
        name: "mqtt",
        what: "MQTT, 60 bytes published at QoS 1, 32 clients",
        protocol: Protocol::Mqtt,
        generator: Generator::Publish { connections: 32 },
    },
];

const fn wrk(name: &'static str, what: &'static str, path: &'static str, connections: u32) -> Load {
    Load {
        name,
        what,
        protocol: Protocol::Http1,
        generator: Generator::Wrk { path, connections, header: None, script: None },
    }
}

const PIPELINED: &str = "init = function(arguments)\n\
    local requests = {}\n\
    for index = 1, 16 do requests[index] = wrk.format('GET', wrk.path) end\n\
    all = table.concat(requests)\n\
    end\n\
    request = function() return all end\n";

/// What a generator says of its run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) answered: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl Load {
    /// The program that makes the load and the Debian package that has it.
    pub(crate) fn program(&self) -> (&'static str, &'static str) {
        match self.generator {
            Generator::Wrk { .. } => ("wrk", "wrk"),
            Generator::H2load { .. } => ("h2load", "nghttp2-client"),
            Generator::Publish { .. } => ("mosquitto", "mosquitto"),
        }
    }

    /// Runs it for so long.
    pub(crate) fn run(&self, stage: &Stage, seconds: u64) -> anyhow::Result<Outcome> {
        let limit = Duration::from_secs(seconds + 20);
        match &self.generator {
            Generator::Wrk { path, connections, header, script } => {
                let threads = cores().min(*connections as usize);
                let mut command = stage.inside("wrk");
                command.arg("--latency").arg(format!("-t{threads}")).arg(format!("-c{connections}"));
                command.arg(format!("-d{seconds}")).args(header.iter().flat_map(|header| ["-H", header]));
                if let Some(script) = script {
                    let file = stage.folder().join("wrk.lua");
                    fs::write(&file, script)?;
                    command.arg("-s").arg(file);
                }
                command.arg(format!("http://{}{path}", server::HTTP1));
                wrk_said(&process::output(&mut command, limit)?)
            }
            Generator::H2load { path, connections, streams } => {
                let log = stage.folder().join("h2load.log");
                // It appends to what is there.
                let _ = fs::remove_file(&log);
                let mut command = stage.inside("h2load");
                command.arg(format!("-c{connections}")).arg(format!("-m{streams}")).arg(format!("-D{seconds}"));
                command.arg(format!("-t{}", cores())).arg(format!("--log-file={}", log.display()));
                command.arg(format!("http://{}{path}", server::HTTP2));
                let mut outcome = h2load_said(&process::output(&mut command, limit)?)?;
                [outcome.p50, outcome.p99] = h2load_latencies(&fs::read_to_string(&log)?);
                Ok(outcome)
            }
            Generator::Publish { connections } => {
                let mut command = stage.part("pace")?;
                command.args(["mqtt", server::MQTT, "bench/1", &connections.to_string(), "0", &seconds.to_string()]);
                pace_said(&process::output(&mut command, limit)?)
            }
        }
    }
}

/// How many processors there are.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn wrk_said(text: &str) -> anyhow::Result<Outcome> {
    let understood = || -> Option<Outcome> {
        let total = text.lines().find(|line| line.contains(" requests in "))?;
        let (answered, rest) = total.trim().split_once(" requests in ")?;
        let (answered, took) = (answered.parse().ok()?, time(rest.split(',').next()?)?);
        let percentile = |name: &str| time(text.lines().find_map(|line| line.trim().strip_prefix(name))?.trim());
        let (p50, p99) = (percentile("50%"), percentile("99%"));
        Some(Outcome { answered, per_second: answered as f64 / took.as_secs_f64(), p50, p99 })
    };
    understood().with_context(|| format!("what wrk said is not understood: {text}"))
}

/// `1.23ms` and its like.
fn time(text: &str) -> Option<Duration> {
    let at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}

fn h2load_said(text: &str) -> anyhow::Result<Outcome> {
    let understood = || -> Option<Outcome> {
        let finished = text.lines().find(|line| line.starts_with("finished in "))?;
        let per_second = finished.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.parse().ok()?;
        let counts = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
        let answered = counts.split(", ").find_map(|part| part.strip_suffix(" succeeded"))?.parse().ok()?;
        Some(Outcome { answered, per_second, p50: None, p99: None })
    };
    understood().with_context(|| format!("what h2load said is not understood: {text}"))
}

/// From its log: a line for each request, the last field its time in microseconds.
fn h2load_latencies(log: &str) -> [Option<Duration>; 2] {
    let mut times: Vec<u64> = log.lines().filter_map(|line| line.rsplit('\t').next()?.parse().ok()).collect();
    times.sort_unstable();
    [0.5, 0.99].map(|share| times.get((times.len() as f64 * share) as usize).copied().map(Duration::from_micros))
}

/// Of our own generator.
pub(crate) fn pace_said(text: &str) -> anyhow::Result<Outcome> {
    let value: Value = serde_json::from_str(text).context("what our own load generator said is not understood")?;
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    let (Some(done), Some(paced), Some(seconds)) = (number("done"), number("paced"), number("seconds")) else {
        bail!("our own load generator said too little: {text}");
    };
    let time = |name: &str| number(name).map(|nanoseconds| Duration::from_nanos(nanoseconds as u64));
    Ok(Outcome { answered: done as u64, per_second: paced / seconds, p50: time("p50_ns"), p99: time("p99_ns") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let said = "Running 1s test @ http://127.0.0.1:8080/1k\n  2 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.45ms    2.31ms  20.45ms   89.48%\n  Latency Distribution\n     50%  576.00us\n     75%    1.64ms\n     90%    3.86ms\n     99%   11.79ms\n  42783 requests in 1.01s, 51.57MB read\nRequests/sec:  42334.51\n";
        let outcome = wrk_said(said).unwrap();
        assert_eq!(outcome.answered, 42_783);
        assert_eq!(outcome.per_second.round(), 42_359.0);
        assert_eq!(outcome.p50, Some(Duration::from_micros(576)));
        assert_eq!(outcome.p99, Some(Duration::from_micros(11_790)));
        assert!(wrk_said("unable to connect").is_err());
    }

    #[test]
    fn h2load_is_understood() {
        let said = "finished in 1.01s, 28575.00 req/s, 31.34MB/s\nrequests: 28575 total, 28895 started, 28575 done, 28570 succeeded, 5 failed, 0 errored, 0 timeout\n";
        let outcome = h2load_said(said).unwrap();
        assert_eq!((outcome.answered, outcome.per_second), (28_570, 28_575.0));
        let log = (1..=100).map(|time| format!("1795620640000936\t200\t{time}\n")).collect::<String>();
        assert_eq!(h2load_latencies(&log), [Some(Duration::from_micros(51)), Some(Duration::from_micros(100))]);
    }
}
