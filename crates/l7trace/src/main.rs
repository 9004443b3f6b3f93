//! The l7trace command.

mod cli;
mod emitter;
mod pipeline;
mod read;
mod recording;
mod trace;
mod wiring;
mod writer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => trace::trace(&cli.trace),
        Some(Command::Trace(arguments)) => trace::trace(&arguments),
        Some(Command::Read(arguments)) => read::read(&arguments),
        Some(Command::Run(_)) => Err(anyhow::anyhow!("run comes with the syscalls source")),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "l7trace", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man) => clap_mangen::Man::new(Cli::command())
            .render(&mut std::io::stdout())
            .map_err(|error| anyhow::Error::from(error).context("cannot print the manual page")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("l7trace: {error:#}");
            ExitCode::FAILURE
        }
    }
}
