//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use l7trace_capture::live;

/// Shows every application-layer exchange on this host, live: who asked whom for what, what came
/// back, how long each part took, and what was missed.
#[derive(Debug, Parser)]
#[command(name = "l7trace", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  l7trace                                 everything on this host, as it happens
  l7trace --port 8080 --output json       one port, as JSON lines
  l7trace --netns 4711                    inside the network namespace of process 4711
  l7trace run -- curl http://localhost/   what one command says
  l7trace read capture.pcapng             what a capture holds
  tcpdump -U -w - | l7trace read -        a capture as it arrives")]
pub(crate) struct Cli {
    /// What to do; `trace` where nothing is said.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) trace: TraceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Traces the live host until interrupted (the default)
    Trace(TraceArgs),
    /// Runs a command and traces it from its first instruction; ends with its status
    Run(RunArgs),
    /// Reads capture files: pcap, pcapng, l7trace's own recordings
    Read(ReadArgs),
    /// Prints a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page (roff)
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// The command and its arguments, after `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Capture files, one trace in this order; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How many threads share the work [default: as many as there are processors]; what comes out is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Where bytes come from, and which.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sources and filters")]
pub(crate) struct LiveArgs {
    /// Where the bytes come from; auto: the best that this host allows; repeatable
    #[arg(long = "source", value_name = "SOURCE", action = ArgAction::Append, value_parser = source_names())]
    pub(crate) sources: Vec<String>,
    /// Which kernel hooks the syscalls source uses
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = engine_names())]
    pub(crate) engine: String,
    /// Only this process; repeatable. The packets source matches by the owner of a connection once
    /// it is known, the syscalls source in the kernel
    #[arg(long = "pid", value_name = "PID", action = ArgAction::Append)]
    pub(crate) pids: Vec<u32>,
    /// With --pid: its descendants too
    #[arg(long, requires = "pids")]
    pub(crate) follow: bool,
    /// Only processes of this command name; repeatable (packets: as with --pid)
    #[arg(long = "command", value_name = "NAME", action = ArgAction::Append)]
    pub(crate) commands: Vec<String>,
    /// Only processes in this cgroup and below; repeatable (packets: as with --pid)
    #[arg(long = "cgroup", value_name = "PATH", action = ArgAction::Append)]
    pub(crate) cgroups: Vec<PathBuf>,
    /// In this network namespace: a path, a process id, or `self`
    #[arg(long, value_name = "PATH|PID|self")]
    pub(crate) netns: Option<String>,
    /// Only connections with this port at either end; repeatable
    #[arg(long = "port", value_name = "PORT", action = ArgAction::Append)]
    pub(crate) ports: Vec<u16>,
    /// Packets source: only this interface; repeatable; `any` is all of them
    #[arg(long = "interface", value_name = "NAME", action = ArgAction::Append)]
    pub(crate) interfaces: Vec<String>,
    /// Size of the kernel's ring buffer, for example 64M; a power of two of pages
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) ring_size: Option<usize>,
    /// Syscalls source: how many bytes of one call are copied
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "256K")]
    pub(crate) copy_limit: usize,
    /// Stop after so long, for example 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
}

/// What is shown, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// How to show it [default: terminal on a terminal, else json]
    #[arg(long, value_name = "NAME", value_parser = output_names())]
    pub(crate) output: Option<String>,
    /// Only this protocol; repeatable
    #[arg(long = "protocol", value_name = "NAME", action = ArgAction::Append, value_parser = protocol_names())]
    pub(crate) protocols: Vec<String>,
    /// Keep up to so many bytes of each body
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0")]
    pub(crate) body: usize,
    /// Print credentials as they are
    #[arg(long)]
    pub(crate) show_secrets: bool,
    /// Read gRPC messages by these .proto files, or folder of them; repeatable
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub(crate) proto: Vec<PathBuf>,
    /// Read gRPC messages by this descriptor set; repeatable
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) descriptor_set: Vec<PathBuf>,
    /// Also record what was captured, as pcapng: secrets and all
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Where the output goes instead of standard output (run: instead of standard error)
    #[arg(long, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
    /// Also a record for each connection
    #[arg(long)]
    pub(crate) connections: bool,
    /// Stop after so many exchanges and messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Terminal output: headers too
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
}

/// What bounds memory; what is given up is counted and reported.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = l7trace_stream::Limits::default().connections)]
    pub(crate) max_connections: usize,
    /// Bytes held for one connection
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "16M")]
    pub(crate) connection_buffer: usize,
    /// Bytes held in all
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "256M")]
    pub(crate) total_buffer: usize,
    /// Forget a connection after so long without traffic
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1h")]
    pub(crate) idle_timeout: Duration,
    /// The longest start line and headers that are read
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "256K")]
    pub(crate) head_limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

fn source_names() -> PossibleValuesParser {
    PossibleValuesParser::new(live::LIVE.iter().map(|kind| kind.name).chain(["auto"]))
}

fn engine_names() -> PossibleValuesParser {
    PossibleValuesParser::new(live::engine_names())
}

fn output_names() -> PossibleValuesParser {
    PossibleValuesParser::new(l7trace_output::FORMATS.iter().map(|format| format.name))
}

fn protocol_names() -> PossibleValuesParser {
    PossibleValuesParser::new(l7trace_protocol::spoken_names())
}

/// `4096`, `64K`, `16M`, `1G` (powers of 1024).
fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a number of bytes: try 4096, 64K, 16M or 1G");
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim_end_matches(['B', 'b']).trim_end_matches('i').to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `250ms`, `30s` (or `30`), `5m`, `1h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: try 250ms, 30s, 5m or 1h");
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse_bytes("64K"), Ok(65_536));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        assert!(parse_bytes("K").is_err() && parse_bytes("99999999999G").is_err() && parse_bytes("-1").is_err());
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert!(parse_duration("1 fortnight").is_err() && parse_duration("").is_err());
    }
}
