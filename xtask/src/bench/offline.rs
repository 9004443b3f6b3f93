//! `read` of generated captures, beside others that read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::options::Options;
use super::process::{self, Measured, Running};
use super::tool::{TSHARK_FIELDS, count_lines, sum_lines, tshark_pairs};
use super::{Bench, stop, suricata};
use crate::tools;

/// One kind of capture.
struct Case {
    name: &'static str,
    what: &'static str,
    /// Of the generator, beside how many exchanges.
    arguments: &'static [&'static str],
    sizes: Sizes,
}

/// How much each reader is given: exchanges, or bytes where they are not counted. All that is compared
/// is a rate, and a slow reader would read for minutes.
#[derive(Clone, Copy)]
struct Sizes {
    l7trace: u64,
    suricata: u64,
    tshark: u64,
}

const CASES: &[Case] = &[
    Case {
        name: "small",
        what: "small exchanges on 32 connections",
        arguments: &["body=100", "connections=32", "each=100"],
        sizes: Sizes { l7trace: 1_000_000, suricata: 300_000, tshark: 60_000 },
    },
    Case {
        name: "interleaved",
        what: "many connections at once (100,000 in full), 3 exchanges on each",
        arguments: &["body=100", "connections=100000", "each=3"],
        sizes: Sizes { l7trace: 300_000, suricata: 300_000, tshark: 100_000 },
    },
    Case {
        name: "loss",
        what: "5 % of segments lost and sent again, 5 % reordered",
        arguments: &["body=4000", "connections=32", "each=100", "lost=50", "reordered=50"],
        sizes: Sizes { l7trace: 300_000, suricata: 100_000, tshark: 40_000 },
    },
];

/// Bodies of 1 MB on standard input, in segments of 1,448 bytes; sizes in bytes.
const BODIES: Sizes = Sizes { l7trace: 10_000_000_000, suricata: 2_000_000_000, tshark: 300_000_000 };

fn scaled(options: &Options, size: u64) -> u64 {
    if options.quick { size / 10 } else { size }
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let runs = options.pairs(3, 1);
    // What a slow machine needs: 400,000 exchanges/s, 1 GB/s; Suricata 60,000; tshark 12,000.
    let mut seconds: f64 = CASES
        .iter()
        .map(|case| {
            let part = |size: u64, rate: f64| scaled(options, size) as f64 / rate;
            part(case.sizes.l7trace, 1e6)
                + part(case.sizes.l7trace, 4e5) * 2.0 * runs as f64
                + part(case.sizes.suricata, 6e4)
                + part(case.sizes.tshark, 1.2e4)
        })
        .sum();
    seconds += scaled(options, BODIES.l7trace) as f64 / 1.2e9 * 2.0
        + scaled(options, BODIES.suricata) as f64 / 3e8
        + scaled(options, BODIES.tshark) as f64 / 6e7;
    let what = format!(
        "{} captures and {:.0} GB of bodies on standard input, {runs} runs each",
        CASES.len(),
        scaled(options, BODIES.l7trace) as f64 / 1e9
    );
    (what, Duration::from_secs_f64(seconds))
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    L7trace { threads: Option<u32> },
    Suricata,
    Tshark,
}

/// A folder for the captures and what is made of them, removed when done.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    tools::run(tools::cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "l7trace-testkit",
        "--example",
        "generate",
    ]))?;
    let folder = Folder(std::env::temp_dir().join(format!("l7trace-bench-{}-offline", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let readers = readers(bench)?;
    for case in CASES {
        println!("\n{}: {}", case.name, case.what);
        let mut last = None;
        for reader in &readers {
            let exchanges = scaled(&bench.options, reader.size(case.sizes));
            let capture = folder.0.join("capture.pcap");
            if last != Some(exchanges) {
                generate(case, exchanges, &capture)?;
                last = Some(exchanges);
            }
            let bytes = fs::metadata(&capture)?.len();
            for _ in 0..if reader.is_ours() { bench.options.pairs(3, 1) } else { 1 } {
                let read =
                    reader.read(bench, &folder.0, Input::File(&capture), exchanges as f64, bytes as f64, case.name);
                if let Err(error) = read {
                    stop::check()?;
                    bench.results.note(format!("{} on {}: {error:#}", reader.name(), case.name));
                    break;
                }
            }
            bench.print("offline", case.name, &reader.name(), SHOWN);
        }
        compare(bench, case.name);
    }
    println!("\nbodies: 1 MB each, as a stream on standard input");
    for reader in &readers {
        let bytes = scaled(&bench.options, reader.size(BODIES));
        if let Err(error) = reader.read_stream(bench, &folder.0, bytes) {
            stop::check()?;
            bench.results.note(format!("{} on bodies: {error:#}", reader.name()));
        }
        bench.print("offline", "bodies", &reader.name(), SHOWN);
    }
    compare(bench, "bodies");
    Ok(())
}

const SHOWN: &[&str] =
    &["exchange_rate", "per_core_exchange_rate", "throughput", "cpu_cores", "memory_bytes", "reported_share"];

/// How many times as fast as the others.
fn compare(bench: &mut Bench, case: &str) {
    let figure = if case == "bodies" { "throughput" } else { "exchange_rate" };
    let ours: Vec<String> = ["l7trace", "l7trace 1 thread", "l7trace 2 threads"].map(str::to_owned).to_vec();
    for reader in ours {
        for other in ["tshark", "suricata"] {
            let ours = bench.results.median(["offline", case, &reader, figure]);
            if let Some((ours, theirs)) = ours.zip(bench.results.median(["offline", case, other, figure])) {
                let times = ours / theirs;
                bench.record(["offline", case, &reader], &[(&format!("against_{other}_times"), times)]);
                println!("  {reader}: {times:.1} times as fast as {other}");
            }
        }
    }
}

fn readers(bench: &mut Bench) -> anyhow::Result<Vec<Reader>> {
    let help = process::output(Command::new(&bench.l7trace).args(["read", "--help"]), Duration::from_secs(10))?;
    let mut readers = if help.contains("--threads") {
        vec![Reader::L7trace { threads: Some(1) }, Reader::L7trace { threads: Some(2) }]
    } else {
        vec![Reader::L7trace { threads: None }]
    };
    for (reader, program) in [(Reader::Suricata, "suricata"), (Reader::Tshark, "tshark")] {
        if tools::has(program) {
            readers.push(reader);
        } else {
            bench.results.note(format!("{program} is not installed: nothing to compare `read` with"));
        }
    }
    Ok(readers)
}

fn generate(case: &Case, exchanges: u64, capture: &Path) -> anyhow::Result<()> {
    let mut generator = Command::new(tools::root().join("target/release/examples/generate"));
    generator.arg(format!("exchanges={exchanges}")).args(case.arguments);
    generator.stdin(Stdio::null()).stdout(File::create(capture)?).stderr(Stdio::null());
    process::measure(&mut generator, Duration::from_secs(120)).context("the capture was not generated")?;
    Ok(())
}

enum Input<'path> {
    File(&'path Path),
    Stream(Stdio),
}

impl Reader {
    fn name(self) -> String {
        match self {
            Reader::L7trace { threads: None } => "l7trace".to_owned(),
            Reader::L7trace { threads: Some(1) } => "l7trace 1 thread".to_owned(),
            Reader::L7trace { threads: Some(threads) } => format!("l7trace {threads} threads"),
            Reader::Suricata => "suricata".to_owned(),
            Reader::Tshark => "tshark".to_owned(),
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Reader::L7trace { .. })
    }

    fn size(self, sizes: Sizes) -> u64 {
        match self {
            Reader::L7trace { .. } => sizes.l7trace,
            Reader::Suricata => sizes.suricata,
            Reader::Tshark => sizes.tshark,
        }
    }

    fn command(self, l7trace: &Path, folder: &Path, file: &str) -> anyhow::Result<Command> {
        let mut command;
        match self {
            Reader::L7trace { threads } => {
                command = Command::new(l7trace);
                command.args(["read", file, "--output", "json", "--output-file"]).arg(folder.join("lines"));
                if let Some(threads) = threads {
                    command.arg("--threads").arg(threads.to_string());
                }
            }
            Reader::Suricata => {
                command = Command::new("suricata");
                let file = if file == "-" { "/dev/stdin" } else { file };
                command.args(["--runmode", "single", "-r", file]).args(suricata::arguments(folder)?);
            }
            Reader::Tshark => {
                command = Command::new("tshark");
                // Without this it loses what comes out of order.
                command.args(["-o", "tcp.reassemble_out_of_order:TRUE"]);
                command.args(["-n", "-r", file, "-Y", "http", "-T", "fields"]);
                command.args(TSHARK_FIELDS.iter().flat_map(|field| ["-e", field]));
            }
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(File::create(folder.join("output"))?);
        Ok(command)
    }

    fn read(
        self,
        bench: &mut Bench,
        folder: &Path,
        input: Input<'_>,
        exchanges: f64,
        bytes: f64,
        case: &str,
    ) -> anyhow::Result<()> {
        let measured = self.measure(bench, folder, input)?;
        self.record(bench, folder, &measured, exchanges, bytes, case)
    }

    fn measure(self, bench: &Bench, folder: &Path, input: Input<'_>) -> anyhow::Result<Measured> {
        let (file, stream) = match input {
            Input::File(path) => (path.display().to_string(), None),
            Input::Stream(stream) => ("-".to_owned(), Some(stream)),
        };
        let mut command = self.command(&bench.l7trace, folder, &file)?;
        if let Some(stream) = stream {
            command.stdin(stream);
        }
        process::measure(&mut command, Duration::from_secs(180))
    }

    fn read_stream(self, bench: &mut Bench, folder: &Path, bytes: u64) -> anyhow::Result<()> {
        let said = folder.join("feeder");
        let mut feeder = Command::new(std::env::current_exe()?);
        feeder
            .args(["bench-part", "feed", &bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&said)?);
        let mut feeder = Running::start(&mut feeder)?;
        let stream = feeder.child().stdout.take().context("the feeder has no output")?;
        let measured = self.measure(bench, folder, Input::Stream(stream.into()))?;
        feeder.wait(Duration::from_secs(10))?;
        let said = fs::read_to_string(&said)?;
        let mut numbers = said.split_whitespace().map(str::parse::<f64>);
        let (Some(Ok(bytes)), Some(Ok(downloads))) = (numbers.next(), numbers.next()) else {
            anyhow::bail!("the feeder broke off: {said}");
        };
        self.record(bench, folder, &measured, downloads, bytes, "bodies")
    }

    fn record(
        self,
        bench: &mut Bench,
        folder: &Path,
        measured: &Measured,
        exchanges: f64,
        bytes: f64,
        case: &str,
    ) -> anyhow::Result<()> {
        let reported = match self {
            Reader::L7trace { .. } => {
                count_lines(&folder.join("lines"), |line| line.contains("\"outcome\":\"complete\""))?
            }
            Reader::Suricata => count_lines(&folder.join(suricata::RECORDS), suricata::is_exchange)?,
            Reader::Tshark => sum_lines(&folder.join("output"), tshark_pairs)?,
        };
        for name in ["lines", suricata::RECORDS, "output"] {
            super::remove_file(&folder.join(name));
        }
        let (wall, cpu) = (measured.wall.as_secs_f64(), measured.usage.cpu.as_secs_f64());
        bench.record(
            ["offline", case, &self.name()],
            &[
                ("exchange_rate", exchanges / wall),
                ("per_core_exchange_rate", exchanges / cpu),
                ("throughput", bytes / wall),
                ("per_core_throughput", bytes / cpu),
                ("cpu_cores", cpu / wall),
                ("memory_bytes", measured.usage.memory as f64),
                ("reported_share", reported as f64 / exchanges),
            ],
        );
        Ok(())
    }
}

/// The captures and what they hold, in order.
pub(crate) fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    CASES.iter().map(|case| (case.name, case.what)).chain([("bodies", "bodies of 1 MB on standard input")])
}
