//! `l7trace run -- COMMAND`: one command, from its first instruction.
//!
//! The command starts as a copy of l7trace that stops itself before it becomes the command. While
//! it stands still the probes are attached, filtered to it and its descendants; only then it goes on.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use l7trace_capture::live;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::cli::RunArgs;
use crate::trace::Live;
use crate::wiring::{Mode, live_options, pipeline};

/// The hidden subcommand that becomes the command.
pub(crate) const BECOME: &str = "become";

/// Runs the command, traces it, and gives its exit status.
pub(crate) fn run(arguments: &RunArgs) -> anyhow::Result<ExitCode> {
    let (mut child, pid) = start_stopped(&arguments.command)?;
    let traced = attach(arguments, &child).and_then(|live| {
        forward_signals(pid)?;
        kill_process(pid, Signal::CONT).context("cannot let the command go on")?;
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let waiting = std::thread::spawn(move || {
            let status = child.wait();
            flag.store(true, Ordering::Relaxed);
            status
        });
        live.run(&ended, arguments.live.duration, false)?;
        match waiting.join() {
            Ok(status) => status.context("cannot wait for the command"),
            Err(_) => bail!("the waiting thread broke off"),
        }
    });
    match traced {
        Ok(status) => Ok(exit_code(status)),
        Err(error) => {
            // It never began: nothing of it is lost.
            let _ = kill_process(pid, Signal::KILL);
            Err(error)
        }
    }
}

/// What the copy does: stops, and becomes the command once it is let go on.
pub(crate) fn become_command(words: &[OsString]) -> anyhow::Result<()> {
    let Some((program, arguments)) = words.split_first() else { bail!("no command is given") };
    kill_process(getpid(), Signal::STOP).context("cannot stop")?;
    let error = Command::new(program).args(arguments).exec();
    eprintln!("l7trace: cannot run {}: {error}", program.display());
    // As shells have it: 127 where there is no such command, 126 where it cannot be run.
    std::process::exit(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 });
}

fn start_stopped(command: &[OsString]) -> anyhow::Result<(Child, Pid)> {
    let own = std::env::current_exe().context("cannot find l7trace itself")?;
    let child = Command::new(own).arg(BECOME).arg("--").args(command).spawn().context("cannot start the command")?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the command has no process id")?;
    match waitpid(Some(pid), WaitOptions::UNTRACED).context("cannot wait for the command to stop")? {
        Some((_, status)) if status.stopped() => Ok((child, pid)),
        _ => bail!("the command ended before it began"),
    }
}

fn attach(arguments: &RunArgs, child: &Child) -> anyhow::Result<Live> {
    let mut filtered = arguments.live.clone();
    filtered.pids.push(child.id());
    filtered.follow = true;
    let sources = live::open(&live_options(&filtered)?)?;
    let pipeline = pipeline(&arguments.output, &arguments.limits, Some(&filtered), Mode::Run)?;
    Ok(Live::start(sources, pipeline, &filtered))
}

/// Hands on what is sent to us; what the terminal sends, it sends to the command as well.
fn forward_signals(pid: Pid) -> anyhow::Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]).context("cannot handle signals")?;
    let from_terminal = std::io::stdin().is_terminal();
    std::thread::spawn(move || {
        for number in signals.forever() {
            if from_terminal && matches!(number, SIGINT | SIGQUIT) {
                continue;
            }
            if let Some(signal) = Signal::from_named_raw(number) {
                // It may have ended in this moment.
                let _ = kill_process(pid, signal);
            }
        }
    });
    Ok(())
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}
