//! The l7trace command.

mod cli;
mod emitter;
mod holding;
mod merge;
mod owner_filter;
mod parallel;
mod pipeline;
mod read;
mod recording;
mod road;
mod run;
mod shedding;
mod supply;
mod trace;
mod wiring;
mod writer;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    // The command that `run` starts is a copy of ourselves that waits to become it.
    let words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let [first, separator, command @ ..] = &words[..]
        && first == run::BECOME
        && separator == "--"
    {
        return end(run::become_command(command).map(|()| ExitCode::SUCCESS));
    }
    let cli = Cli::parse();
    let done = match cli.command {
        None => trace::trace(&cli.trace),
        Some(Command::Trace(arguments)) => trace::trace(&arguments),
        Some(Command::Read(arguments)) => read::read(&arguments),
        Some(Command::Run(arguments)) => return end(run::run(&arguments)),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "l7trace", &mut script);
            print(&script)
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(anyhow::Error::from)
                .and_then(|()| print(&page))
        }
    };
    end(done.map(|()| ExitCode::SUCCESS))
}

/// Prints to standard output, whose reader may have seen enough.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

fn end(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("l7trace: {error:#}");
            ExitCode::FAILURE
        }
    }
}
