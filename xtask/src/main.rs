//! The project's own commands: `cargo xtask COMMAND`.

use std::env;
use std::process::ExitCode;

mod bench;
mod ci;
mod demo;
mod fuzz;
mod probes;
mod test;
mod tools;
mod vm;

/// A command: its name, what it does, and its function, which takes the arguments behind the name.
type Command = (&'static str, &'static str, fn(&[String]) -> anyhow::Result<()>);

/// Every command, one file each.
const COMMANDS: &[Command] = &[
    ("demo", "show l7trace at work on real traffic, in a network namespace of its own", demo::run),
    ("test", "run every test that can run here, and count those that cannot", test::run),
    ("vm", "run the syscalls suites and a smoke test on Debian's kernels, the oldest to the newest", vm::run),
    ("probes", "rebuild the committed eBPF objects; --check: fail if they differ", probes::run),
    ("fuzz", "run each fuzz target for some seconds: [SECONDS [TARGET…]]", fuzz::run),
    ("bench", "measure l7trace beside other tools; --help: how", bench::run),
    ("ci", "check everything that must hold before a change lands", ci::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // The programs of the demo and of the bench are copies of this one.
    if let [first, part, milliseconds] = &arguments[..]
        && first == "demo-part"
    {
        return exit("demo-part", demo::programs::play(part, milliseconds));
    }
    if let [first, part, rest @ ..] = &arguments[..]
        && first == "bench-part"
    {
        return exit("bench-part", bench::part::play(part, rest));
    }
    let found = arguments.first().and_then(|name| COMMANDS.iter().find(|command| command.0 == name));
    let Some((name, _, run)) = found else {
        eprintln!("usage: cargo xtask COMMAND\n");
        for (name, what, _) in COMMANDS {
            eprintln!("    {name:10} {what}");
        }
        return ExitCode::from(2);
    };
    exit(name, run(&arguments[1..]))
}

fn exit(name: &str, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
