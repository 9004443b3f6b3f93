//! The l7trace command.

mod cli;
mod emitter;
mod holding;
mod merge;
mod owner_filter;
mod pipeline;
mod read;
mod recording;
mod run;
mod trace;
mod wiring;
mod writer;

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
            clap_complete::generate(shell, &mut Cli::command(), "l7trace", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man) => clap_mangen::Man::new(Cli::command())
            .render(&mut std::io::stdout())
            .map_err(|error| anyhow::Error::from(error).context("cannot print the manual page")),
    };
    end(done.map(|()| ExitCode::SUCCESS))
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
