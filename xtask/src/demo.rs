//! `cargo xtask demo`: the main job on real traffic, in a network namespace of its own.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::tools;

pub(crate) mod programs;

/// How long the traced programs talk.
const TALK: Duration = Duration::from_secs(6);

/// The capture that is shown where live tracing is not possible.
const BUNDLED: &str = "docs/demo.pcapng";

/// Builds l7trace and shows it at work.
pub(crate) fn run(_: &[String]) -> anyhow::Result<()> {
    say("building l7trace (the first time takes a minute or two)");
    let built = tools::cargo().args(["build", "--quiet", "--profile", "quick", "--package", "l7trace"]).status()?;
    if !built.success() {
        bail!("the build failed: {built}");
    }
    let l7trace = tools::root().join("target/quick/l7trace");
    let live = if tools::is_root() {
        tools::install(&[("ip", "iproute2")]).and_then(|()| show_live(&l7trace))
    } else {
        Err(anyhow::anyhow!("live tracing needs root: run `sudo -E cargo xtask demo` to see it"))
    };
    if let Err(error) = live {
        println!("\nlive tracing cannot be shown here: {error:#}");
        say("instead, what `l7trace read` makes of a capture that this demo recorded earlier");
        read(&l7trace, &tools::root().join(BUNDLED), 40)?;
    }
    say("what to try next");
    println!(
        "  sudo target/quick/l7trace                        everything on this host, as it happens\n  \
           sudo target/quick/l7trace --port 443 --connections  who talks to whom\n  \
           sudo target/quick/l7trace -v --body 200          headers and bodies too\n  \
           sudo target/quick/l7trace --output json | jq .   one JSON object a line\n  \
           target/quick/l7trace read capture.pcap           a capture of yours"
    );
    Ok(())
}

fn show_live(l7trace: &Path) -> anyhow::Result<()> {
    let stage = Stage::build()?;
    let capture = stage.folder.join("demo.pcapng");
    let json = stage.folder.join("exchanges.ndjson");
    let duration = format!("{}ms", TALK.as_millis() + 1000);

    // Two tracers at once: one as a user at a terminal sees it, one for JSON and a recording.
    let mut recorder = Command::new(l7trace);
    recorder.args(["--source", "packets", "--netns"]).arg(stage.namespace_path());
    recorder.args(["--duration", &duration, "--output", "json", "--output-file"]).arg(&json);
    recorder.arg("--write").arg(&capture).stderr(Stdio::null());
    let mut recorder = Running(recorder.spawn().context("cannot start l7trace")?);

    say(&format!("l7trace --source packets --netns {}", stage.namespace_path().display()));
    let mut viewer = Command::new(l7trace);
    viewer.args(["--source", "packets", "--netns"]).arg(stage.namespace_path());
    viewer.args(["--duration", &duration, "--output", "terminal", "--color"]);
    viewer.arg(if std::io::stdout().is_terminal() { "always" } else { "never" });
    let started = Instant::now();
    let mut viewer = Running(viewer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    let errors = viewer.0.stderr.take().context("no standard error")?;
    let mut ready = String::new();
    BufReader::new(errors).read_line(&mut ready)?;
    print!("{ready}");
    if !ready.contains("tracing") {
        bail!("l7trace did not start");
    }
    println!("(ready after {} ms)\n", started.elapsed().as_millis());
    let talk = stage.talk()?;
    let output = viewer.0.stdout.take().context("no standard output")?;
    for line in BufReader::new(output).lines() {
        println!("{}", line?);
    }
    viewer.0.wait()?;
    drop(talk);
    if !recorder.0.wait()?.success() {
        bail!("the recording tracer failed");
    }

    say("one of these exchanges as JSON (--output json)");
    let lines = fs::read_to_string(&json)?;
    let shown = lines.lines().find(|line| line.contains("/orders")).or(lines.lines().next());
    println!("{}", shown.context("no exchange was reported")?);
    say("the account of the run: the last line of the JSON output");
    println!("{}", lines.lines().last().unwrap_or_default());

    say(&format!("l7trace read {} (recorded on the way by --write): its last lines", file_name(&capture)));
    read(l7trace, &capture, 16)?;
    if let Some(keep) = std::env::var_os("L7TRACE_DEMO_KEEP") {
        fs::copy(&capture, keep)?;
    }
    Ok(())
}

/// Shows what `read` makes of a capture: the last lines of it.
fn read(l7trace: &Path, capture: &Path, most: usize) -> anyhow::Result<()> {
    let output = Command::new(l7trace).arg("read").arg(capture).args(["--output", "terminal"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(most)..] {
        println!("{line}");
    }
    if !output.status.success() {
        bail!("l7trace read failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn say(what: &str) {
    println!("\n\u{2500}\u{2500} {what}");
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A network namespace and a folder, both removed when done.
struct Stage {
    namespace: String,
    folder: PathBuf,
}

impl Stage {
    fn build() -> anyhow::Result<Stage> {
        let namespace = format!("l7trace-demo-{}", std::process::id());
        let folder = std::env::temp_dir().join(&namespace);
        fs::create_dir_all(&folder)?;
        let stage = Stage { namespace, folder };
        ip(&["netns", "add", &stage.namespace])?;
        ip(&["-n", &stage.namespace, "link", "set", "lo", "up"])?;
        Ok(stage)
    }

    fn namespace_path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// Starts the programs that talk: servers first, then their clients.
    fn talk(&self) -> anyhow::Result<Vec<Running>> {
        let mut running = Vec::new();
        for (name, part) in programs::PARTS {
            // A program is named after its file: copies of ourselves give each part its own name.
            let path = self.folder.join(name);
            fs::copy(std::env::current_exe()?, &path)?;
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.namespace]).arg(&path).args(["demo-part", part]);
            command.arg(TALK.as_millis().to_string()).stdout(Stdio::null());
            running.push(Running(command.spawn().context("cannot start a program of the demo")?));
        }
        Ok(running)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the rest must be tried all the same.
        let _ = ip(&["netns", "del", &self.namespace]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run `ip` (package iproute2)")?;
    if !output.status.success() {
        bail!("`ip {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
