//! `cargo xtask fuzz [SECONDS [TARGET…]]`: runs each fuzz target for some seconds.
//!
//! libFuzzer needs a nightly compiler and cargo-fuzz, which a user's machine may lack: where they
//! are missing, CI counts this as skipped. What is found stays in `target/fuzz`.

use std::process::Command;

use anyhow::{Context, bail};

use crate::tools;

/// How long each target runs in CI, and where nothing is said.
const SECONDS: &str = "5";

/// Runs the targets that are named, or all of them, for as long as is said.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let Some(why) = missing() {
        bail!("cannot fuzz here: {why}");
    }
    let seconds = arguments.first().map_or(SECONDS, String::as_str);
    if seconds.parse::<u32>().is_err() {
        bail!("`{seconds}` is no number of seconds: cargo xtask fuzz [SECONDS [TARGET…]]");
    }
    let named = arguments.get(1..).unwrap_or_default();
    let targets = if named.is_empty() { targets()? } else { named.to_vec() };
    for target in &targets {
        fuzz(target, seconds, "--release", &[])?;
    }
    Ok(())
}

/// Runs every target for a short while; gives why that cannot be done here, where it cannot.
pub(crate) fn try_all() -> anyhow::Result<Option<&'static str>> {
    if let Some(why) = missing() {
        return Ok(Some(why));
    }
    // Without optimisation: it is the building that takes long.
    tools::run(nightly().args(["fuzz", "build", "--dev"]).args(BUILT))?;
    let targets = targets()?;
    for target in &targets {
        // The same beginning each time: what CI finds should be found again.
        fuzz(target, SECONDS, "--dev", &["-seed=1"])?;
    }
    println!("{} fuzz targets ran for {SECONDS} s each and found nothing", targets.len());
    Ok(None)
}

/// The nightly compiler's cargo: through rustup, as the cargo that runs us knows no other toolchain.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(tools::root());
    command
}

/// No sanitizer: panics are what is searched, and no `unsafe` is reached.
const BUILT: &[&str] = &["--sanitizer", "none", "--target-dir", "target/fuzz"];

fn fuzz(target: &str, seconds: &str, profile: &str, more: &[&str]) -> anyhow::Result<()> {
    let folder = tools::root().join("target/fuzz");
    let corpus = folder.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut command = nightly();
    command.args(["fuzz", "run", profile]).args(BUILT).arg(target).arg(&corpus);
    command.args(["--", "-verbosity=0", "-max_len=4096"]).arg(format!("-max_total_time={seconds}"));
    command.args(more);
    command.arg(format!("-artifact_prefix={}/", folder.display()));
    tools::run(&mut command).with_context(|| format!("the fuzz target {target} found something"))
}

/// Why fuzzing cannot run here, if it cannot.
fn missing() -> Option<&'static str> {
    let answers = |words: &[&str]| nightly().args(words).output().is_ok_and(|output| output.status.success());
    if !answers(&["--version"]) {
        Some("no nightly toolchain; rustup toolchain install nightly")
    } else if !answers(&["fuzz", "--version"]) {
        Some("no cargo-fuzz; cargo install cargo-fuzz")
    } else {
        None
    }
}

/// Every target, by the files of their folder.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = tools::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    match names.is_empty() {
        true => bail!("there are no targets in {}", folder.display()),
        false => Ok(names),
    }
}
