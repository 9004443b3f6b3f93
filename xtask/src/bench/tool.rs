//! The tools that are compared: how each is started, when it is ready, and how what it saw is counted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::load::Protocol;
use super::process::{self, Running, Usage};
use super::stage::Stage;
use super::{stop, suricata};
use crate::tools;

/// A tool in one of its settings.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The program; none for l7trace, whose place is given.
    program: Option<&'static str>,
    /// What to install for it.
    package: &'static str,
    arguments: fn(&Setting<'_>) -> anyhow::Result<Vec<String>>,
    /// What it prints once it has begun.
    ready: &'static str,
    /// Whether it knows of protocols other than HTTP/1.
    beyond_http1: bool,
    count: fn(&Setting<'_>) -> anyhow::Result<Seen>,
}

/// Where a tool runs.
pub(crate) struct Setting<'stage> {
    stage: &'stage Stage,
    folder: PathBuf,
    protocol: Protocol,
    /// Where l7trace writes its lines.
    lines: PathBuf,
}

/// What a tool saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Exchanges that it reported with question and answer; none where it has no such thing.
    pub(crate) exchanges: Option<u64>,
    /// Whether it says which answer belongs to which question.
    pub(crate) pairs: bool,
    /// Of what the kernel had for it, the share that it did not take, where it says so.
    pub(crate) dropped: Option<f64>,
}

/// Every tool. Those that are l7trace come first.
pub(crate) const TOOLS: &[Tool] = &[
    l7trace("l7trace packets", |setting| l7trace_arguments(setting, &["--source", "packets"])),
    l7trace("l7trace sock", |setting| l7trace_arguments(setting, &["--source", "syscalls", "--engine", "sock"])),
    l7trace("l7trace tracepoints", |setting| {
        l7trace_arguments(setting, &["--source", "syscalls", "--engine", "tracepoints"])
    }),
    l7trace("l7trace both", |setting| l7trace_arguments(setting, &["--source", "packets", "--source", "syscalls"])),
    Tool {
        name: "tcpdump",
        program: Some("tcpdump"),
        package: "tcpdump",
        arguments: |_| Ok(words(&["-n", "-i", "lo", "-w", "/dev/null", "tcp"])),
        ready: "listening on",
        beyond_http1: true,
        count: |setting| {
            let said = fs::read_to_string(setting.folder.join("error"))?;
            let number = |what: &str| said.lines().find_map(|line| line.strip_suffix(what)?.parse::<f64>().ok());
            let dropped = number(" packets dropped by kernel").zip(number(" packets received by filter"));
            let dropped = dropped.map(|(dropped, received)| if received > 0.0 { dropped / received } else { 0.0 });
            Ok(Seen { dropped, ..Seen::default() })
        },
    },
    Tool {
        name: "tshark",
        program: Some("tshark"),
        package: "tshark",
        arguments: |_| {
            let mut arguments = words(&["-n", "-l", "-i", "lo", "-f", "tcp port 8080", "-Y", "http", "-T", "fields"]);
            arguments.extend(TSHARK_FIELDS.iter().flat_map(|field| words(&["-e", field])));
            Ok(arguments)
        },
        ready: "Capture started",
        beyond_http1: false,
        count: |setting| {
            // A response that names the frame of its request.
            let exchanges = sum_lines(&setting.folder.join("output"), tshark_pairs)?;
            Ok(Seen { exchanges: Some(exchanges), pairs: true, dropped: None })
        },
    },
    Tool {
        name: "httpry",
        program: Some("httpry"),
        package: "httpry",
        arguments: |setting| {
            Ok(words(&["-i", "lo", "-F", "-o", &path(&setting.folder.join("httpry")), "tcp port 8080"]))
        },
        ready: "Starting capture",
        beyond_http1: false,
        count: |setting| {
            let file = setting.folder.join("httpry");
            let requests = count_lines(&file, |line| line.contains("\t>\t"))?;
            let responses = count_lines(&file, |line| line.contains("\t<\t"))?;
            Ok(Seen { exchanges: Some(requests.min(responses)), pairs: false, dropped: None })
        },
    },
    Tool {
        name: "ngrep",
        program: Some("ngrep"),
        package: "ngrep",
        arguments: |_| Ok(words(&["-d", "lo", "-q", "-l", "-W", "byline", "^(GET|HTTP)", "tcp port 8080"])),
        ready: "match",
        beyond_http1: false,
        count: |setting| {
            let file = setting.folder.join("output");
            let requests = count_lines(&file, |line| line.starts_with("GET /"))?;
            let responses = count_lines(&file, |line| line.starts_with("HTTP/1."))?;
            Ok(Seen { exchanges: Some(requests.min(responses)), pairs: false, dropped: None })
        },
    },
    Tool {
        name: "suricata",
        program: Some("suricata"),
        package: "suricata (Debian 12: from bookworm-backports)",
        arguments: |setting| {
            Ok(words(&["--af-packet=lo"]).into_iter().chain(suricata::arguments(&setting.folder)?).collect())
        },
        ready: "Engine started",
        beyond_http1: false,
        count: |setting| {
            let exchanges = count_lines(&setting.folder.join(suricata::RECORDS), suricata::is_exchange)?;
            Ok(Seen { exchanges: Some(exchanges), pairs: true, dropped: None })
        },
    },
];

/// What tshark is asked for: what a line of l7trace tells, too. The last one ties a response to its request.
pub(crate) const TSHARK_FIELDS: &[&str] = &[
    "frame.time_epoch",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.stream",
    "http.request.method",
    "http.request.uri",
    "http.host",
    "http.response.code",
    "http.content_length",
    "http.time",
    "http.request.line",
    "http.response.line",
    "http.request_in",
];

const fn l7trace(name: &'static str, arguments: fn(&Setting<'_>) -> anyhow::Result<Vec<String>>) -> Tool {
    Tool {
        name,
        program: None,
        package: "",
        arguments,
        ready: "l7trace: tracing",
        beyond_http1: true,
        count: l7trace_seen,
    }
}

fn l7trace_arguments(setting: &Setting<'_>, source: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut arguments = words(&["trace", "--output", "json", "--netns", &path(&setting.stage.namespace())]);
    arguments.extend(words(source));
    arguments.extend(words(&["--output-file", &path(&setting.lines)]));
    Ok(arguments)
}

fn l7trace_seen(setting: &Setting<'_>) -> anyhow::Result<Seen> {
    let publishes = setting.protocol == Protocol::Mqtt;
    let exchanges = count_lines(&setting.lines, |line| {
        line.starts_with("{\"type\":\"exchange\"")
            && line.contains("\"outcome\":\"complete\"")
            && (!publishes || line.contains("\"operation\":\"PUBLISH\""))
    })?;
    let last = last_line(&setting.lines)?;
    let summary: Value = serde_json::from_str(&last).context("the last line is no summary")?;
    let number = |of: &Value| of.as_f64().unwrap_or(0.0);
    let bytes = &summary["bytes"];
    let lost = bytes["lost"]
        .as_object()
        .into_iter()
        .flat_map(|lost| lost.values())
        .map(number)
        .fold(0.0, |sum, bytes| sum + bytes);
    let seen = number(&bytes["seen"]);
    Ok(Seen { exchanges: Some(exchanges), pairs: true, dropped: (seen > 0.0).then(|| lost / seen) })
}

impl Tool {
    /// Whether it is l7trace.
    pub(crate) fn is_ours(&self) -> bool {
        self.program.is_none()
    }

    /// What is missing to run it, if anything is.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.program.filter(|program| !tools::has(program)).map(|_| self.package)
    }

    /// Whether it can tell anything of a protocol.
    pub(crate) fn knows(&self, protocol: Protocol) -> bool {
        self.beyond_http1 || protocol == Protocol::Http1
    }

    /// Starts it and waits until it has begun.
    pub(crate) fn start<'stage>(
        &'static self,
        l7trace: &Path,
        stage: &'stage Stage,
        protocol: Protocol,
    ) -> anyhow::Result<Tracing<'stage>> {
        self.launch(l7trace, stage, protocol, true)
    }

    /// The same; nobody keeps what l7trace writes.
    pub(crate) fn start_for_long<'stage>(
        &'static self,
        l7trace: &Path,
        stage: &'stage Stage,
    ) -> anyhow::Result<Tracing<'stage>> {
        self.launch(l7trace, stage, Protocol::Http1, false)
    }

    fn launch<'stage>(
        &'static self,
        l7trace: &Path,
        stage: &'stage Stage,
        protocol: Protocol,
        keep: bool,
    ) -> anyhow::Result<Tracing<'stage>> {
        let folder = stage.folder().join("tool");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let lines = if keep { folder.join("lines") } else { PathBuf::from("/dev/null") };
        let setting = Setting { stage, folder, protocol, lines };
        // l7trace is told the namespace; it needs what is mounted outside.
        let mut command = self.program.map_or_else(|| Command::new(l7trace), |program| stage.inside(program));
        command.args((self.arguments)(&setting)?).stdin(Stdio::null());
        let (output, error) = (setting.folder.join("output"), setting.folder.join("error"));
        command.stdout(File::create(&output)?).stderr(File::create(&error)?);
        let begun = Instant::now();
        let mut running = Running::start(&mut command)?;
        let ready = stop::until(Duration::from_secs(15), || {
            if let Some(status) = running.ended()? {
                bail!("{} ended: {status}\n{}", self.name, fs::read_to_string(&error)?);
            }
            let said = |file: &Path| fs::read_to_string(file).is_ok_and(|text| text.contains(self.ready));
            Ok((said(&output) || said(&error)).then_some(()))
        })?;
        ready.with_context(|| format!("{} did not say that it is ready", self.name))?;
        let ready = begun.elapsed();
        if !self.is_ours() {
            // Some say so a little early.
            stop::sleep(Duration::from_millis(300))?;
        }
        let before = process::usage(running.id());
        Ok(Tracing { tool: self, running, setting, before, ready })
    }
}

/// A tool at work.
pub(crate) struct Tracing<'stage> {
    tool: &'static Tool,
    running: Running,
    setting: Setting<'stage>,
    before: Usage,
    /// How long it took to begin.
    pub(crate) ready: Duration,
}

impl Tracing<'_> {
    /// Where l7trace writes its lines.
    pub(crate) fn lines(&self) -> &Path {
        &self.setting.lines
    }

    /// Ends it, whatever it saw.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.running.interrupt(Duration::from_secs(10))
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Lets it catch up, three seconds at most, ends it, and says what it used since it was ready and
    /// what it saw.
    pub(crate) fn finish(mut self) -> anyhow::Result<(Usage, Seen)> {
        let mut usage = process::usage(self.running.id());
        for _ in 0..20 {
            stop::sleep(Duration::from_millis(150))?;
            let now = process::usage(self.running.id());
            let busy = now.cpu.saturating_sub(usage.cpu) > Duration::from_millis(15);
            usage = now;
            if !busy {
                break;
            }
        }
        usage.cpu = usage.cpu.saturating_sub(self.before.cpu);
        self.running.interrupt(Duration::from_secs(10))?;
        let seen = (self.tool.count)(&self.setting)?;
        // A run of seconds can be hundreds of megabytes of lines.
        fs::remove_dir_all(&self.setting.folder)?;
        Ok((usage, seen))
    }
}

/// How many responses that name the frame of their request a line of tshark's tells of: it has one for a
/// packet, in which there may be several, separated by commas.
pub(crate) fn tshark_pairs(line: &str) -> u64 {
    let last = line.rsplit('\t').next().unwrap_or_default();
    last.split(',').filter(|frame| !frame.is_empty()).count() as u64
}

/// How many lines of a file are such.
pub(crate) fn count_lines(file: &Path, is_such: impl Fn(&str) -> bool) -> anyhow::Result<u64> {
    sum_lines(file, |line| u64::from(is_such(line)))
}

/// The sum over a file's lines; bytes that are no text are other characters.
pub(crate) fn sum_lines(file: &Path, count_in: impl Fn(&str) -> u64) -> anyhow::Result<u64> {
    let file = File::open(file).with_context(|| format!("no {}", file.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut count) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let end = line.len() - usize::from(line.ends_with(b"\n"));
        count += count_in(&String::from_utf8_lossy(&line[..end]));
        line.clear();
    }
    Ok(count)
}

fn last_line(file: &Path) -> anyhow::Result<String> {
    let mut last = String::new();
    for line in BufReader::new(File::open(file)?).lines() {
        last = line?;
    }
    Ok(last)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
