//! The project's own commands: `cargo xtask COMMAND`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod probes;

/// A command: its name, what it does, and its function, which takes the arguments behind the name.
type Command = (&'static str, &'static str, fn(&[String]) -> anyhow::Result<()>);

/// Every command, one file each.
const COMMANDS: &[Command] =
    &[("probes", "rebuild the committed eBPF objects; --check: fail if they differ", probes::run)];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let found = arguments.first().and_then(|name| COMMANDS.iter().find(|command| command.0 == name));
    let Some((name, _, run)) = found else {
        eprintln!("usage: cargo xtask COMMAND\n");
        for (name, what, _) in COMMANDS {
            eprintln!("    {name:10} {what}");
        }
        return ExitCode::from(2);
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}
