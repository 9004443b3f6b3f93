//! From the command line to the parts of the road.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use anyhow::bail;
use l7trace_capture::{Batch, live};
use l7trace_exchange::{Options, Redaction, Tracker};
use l7trace_output::{Charset, Color, Format, OutputOptions};
use l7trace_protocol::grpc::Schema;
use l7trace_protocol::{Settings, spoken_names};
use l7trace_schema::Types;
use l7trace_stream::{Limits, Table};

use crate::cli::{ColorChoice, LimitArgs, LiveArgs, OutputArgs};
use crate::emitter::Emitter;
use crate::owner_filter::OwnerFilter;
use crate::parallel::{Dispatch, Plan};
use crate::pipeline::Pipeline;
use crate::recording::Recording;
use crate::writer::{Target, Writer};

/// How wide lines are where nothing says how wide they may be.
const WIDTH: usize = 120;

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The live host: never wait for a slow reader.
    Live,
    /// The live host, standard output belonging to a command.
    Run,
    /// Capture files: wait.
    Read,
}

/// Builds the road behind the sources.
pub(crate) fn pipeline(
    output: &OutputArgs,
    limits: &LimitArgs,
    live: Option<&LiveArgs>,
    mode: Mode,
) -> anyhow::Result<Pipeline> {
    let parts = parts(output, limits, mode)?;
    let formatter = parts.format.output(&parts.output);
    let owners = live.and_then(OwnerFilter::new);
    let emitter = Emitter::new(formatter, parts.writer, owners, output.protocols.clone(), output.count);
    Ok(Pipeline::new(Table::new(parts.limits), Tracker::new(parts.options, emitter), parts.recording))
}

/// How many threads read connections, of those that were asked for: one also where the records have
/// to be made one after another, for a person or up to a number of them.
pub(crate) fn workers(threads: Option<usize>, output: &OutputArgs) -> anyhow::Result<usize> {
    let wanted = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let format = format(output, Mode::Read)?;
    Ok(if format.is_of_lines && output.count.is_none() { wanted.clamp(1, MOST_WORKERS) } else { 1 })
}

/// More threads than any one thread can give work to.
const MOST_WORKERS: usize = 16;

/// As [`pipeline`], for so many threads that share the work.
pub(crate) fn parallel_pipeline(
    output: &OutputArgs,
    limits: &LimitArgs,
    workers: usize,
    give_back: SyncSender<Batch>,
) -> anyhow::Result<Pipeline<Dispatch>> {
    let parts = parts(output, limits, Mode::Read)?;
    let table = Table::new(parts.limits);
    let dispatch = Dispatch::start(Plan {
        workers,
        options: parts.options,
        format: parts.format,
        output: parts.output,
        protocols: &output.protocols,
        writer: parts.writer,
        give_back,
    });
    Ok(Pipeline::new(table, dispatch, parts.recording))
}

/// What a road is built of.
struct Parts {
    format: &'static Format,
    output: OutputOptions,
    writer: Writer,
    recording: Option<Recording>,
    options: Options,
    limits: Limits,
}

fn parts(output: &OutputArgs, limits: &LimitArgs, mode: Mode) -> anyhow::Result<Parts> {
    for name in &output.protocols {
        if !spoken_names().any(|known| known == name) {
            let known: Vec<&str> = spoken_names().collect();
            bail!("no protocol is called `{name}`; l7trace knows {}", known.join(", "));
        }
    }
    let target = match (&output.output_file, mode) {
        (Some(path), _) => Target::create(path)?,
        (None, Mode::Run) => Target::Stderr,
        (None, Mode::Live | Mode::Read) => Target::Stdout,
    };
    let terminal = goes_to_terminal(output, mode);
    let format = format(output, mode)?;
    let color = match output.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let output_options = OutputOptions {
        width: terminal.then(terminal_width).flatten().or_else(columns).unwrap_or(WIDTH),
        color: if color { Color::On } else { Color::Off },
        charset: charset(),
        verbose: output.verbose,
        bodies: output.body > 0,
        header_line: true,
        redaction: if output.show_secrets { Redaction::Show } else { Redaction::Redact },
    };
    let recording = output.write.as_deref().map(Recording::create).transpose()?;
    let writer = Writer::start(target, mode == Mode::Read);
    let options = Options {
        settings: Settings {
            body_limit: output.body,
            head_limit: limits.head_limit,
            schema: schema(output)?,
            ..Settings::default()
        },
        connections: output.connections,
        // A recording is to hold every byte.
        spares: mode != Mode::Read && output.write.is_none(),
    };
    let limits = Limits {
        connections: limits.max_connections,
        connection_bytes: limits.connection_buffer,
        total_bytes: limits.total_buffer,
        idle: limits.idle_timeout,
        ..Limits::default()
    };
    Ok(Parts { format, output: output_options, writer, recording, options, limits })
}

/// Whether a person looks at the output.
fn goes_to_terminal(output: &OutputArgs, mode: Mode) -> bool {
    match (&output.output_file, mode) {
        (Some(_), _) => false,
        (None, Mode::Run) => std::io::stderr().is_terminal(),
        (None, Mode::Live | Mode::Read) => std::io::stdout().is_terminal(),
    }
}

/// The format of the output.
fn format(output: &OutputArgs, mode: Mode) -> anyhow::Result<&'static Format> {
    let default = if goes_to_terminal(output, mode) || mode == Mode::Run { "terminal" } else { "json" };
    let name = output.output.as_deref().unwrap_or(default);
    let Some(format) = l7trace_output::by_name(name) else {
        let known: Vec<&str> = l7trace_output::FORMATS.iter().map(|format| format.name).collect();
        bail!("no output is called `{name}`; l7trace has {}", known.join(", "));
    };
    Ok(format)
}

/// The types of gRPC messages that the user has.
fn schema(output: &OutputArgs) -> anyhow::Result<Option<Arc<dyn Schema>>> {
    if output.proto.is_empty() && output.descriptor_set.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Types::load(&output.proto, &output.descriptor_set)?)))
}

/// Whether the output is for a person at a terminal.
pub(crate) fn shows_terminal(output: &OutputArgs) -> bool {
    output.output_file.is_none()
        && std::io::stdout().is_terminal()
        && output.output.as_deref().is_none_or(|name| name == "terminal")
}

/// What the sources are told.
pub(crate) fn live_options(arguments: &LiveArgs) -> anyhow::Result<live::Options> {
    Ok(live::Options {
        sources: arguments.sources.clone(),
        engine: arguments.engine.clone(),
        pids: arguments.pids.clone(),
        follow: arguments.follow,
        commands: arguments.commands.clone(),
        cgroups: arguments.cgroups.clone(),
        netns: arguments.netns.clone(),
        ports: arguments.ports.clone(),
        interfaces: arguments.interfaces.iter().filter(|name| *name != "any").cloned().collect(),
        ring_size: arguments.ring_size,
        copy_limit: arguments.copy_limit,
    })
}

/// The terminal's width in columns.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The width that the environment names, for output that goes through a pipe to a terminal.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// What the locale says of the characters that can be shown.
fn charset() -> Charset {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    match locale.map(|locale| locale.to_ascii_uppercase()) {
        Some(locale) if locale == "C" || locale == "POSIX" || locale.contains("8859") => Charset::Ascii,
        _ => Charset::Unicode,
    }
}
