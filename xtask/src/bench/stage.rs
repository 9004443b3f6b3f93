//! Where the bench plays: a network namespace and a folder, both removed when done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::process;

/// What every namespace of the bench is called, before the id of the process that made it.
const PREFIX: &str = "l7trace-bench-";

/// A network namespace with loopback up, and a folder.
#[derive(Debug)]
pub(crate) struct Stage {
    name: String,
    folder: PathBuf,
}

impl Stage {
    /// Makes one. `part` tells those of one process apart.
    pub(crate) fn build(part: &str) -> anyhow::Result<Stage> {
        let name = format!("{PREFIX}{}-{part}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder)?;
        let stage = Stage { name, folder };
        ip(&["netns", "add", &stage.name])?;
        ip(&["-n", &stage.name, "link", "set", "lo", "up"])?;
        // A connection per request takes more ports than there are by default, and thousands at
        // once more places in the queue.
        for setting in [
            "net.ipv4.ip_local_port_range=1024 65535",
            "net.core.somaxconn=65535",
            "net.ipv4.tcp_max_syn_backlog=65535",
        ] {
            process::output(stage.inside("sysctl").args(["-q", "-w", setting]), Duration::from_secs(5))?;
        }
        Ok(stage)
    }

    /// The file that stands for the namespace.
    pub(crate) fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A folder for everything that is written.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that will run inside, silent.
    pub(crate) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace().display())).arg("--").arg(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env("TMPDIR", &self.folder);
        command
    }

    /// A part of the bench that will run inside: this program again.
    pub(crate) fn part(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = self.inside(std::env::current_exe()?);
        command.args(["bench-part", name]);
        Ok(command)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        remove(&self.name, &self.folder);
    }
}

/// Ends what runs in a namespace of ours, and removes it with its folder.
fn remove(name: &str, folder: &Path) {
    let processes = Command::new("ip").args(["netns", "pids", name]).output();
    let processes = processes.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    // Nothing can be done about a failure here, and the rest must be tried all the same.
    let _ = ip(&["netns", "del", name]);
    let _ = fs::remove_dir_all(folder);
}

/// Removes what a bench left behind that was killed.
pub(crate) fn sweep() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            println!("removing {name}, left behind by a bench that was killed");
            remove(&name, &std::env::temp_dir().join(&name));
        }
    }
}

/// Allows ourselves, and those we start, as many open files as may be; how many that is.
pub(crate) fn raise_open_files() -> u64 {
    let wanted = 200_000;
    let limit = getrlimit(Resource::Nofile);
    let most =
        Rlimit { current: Some(wanted), maximum: Some(limit.maximum.map_or(wanted, |maximum| maximum.max(wanted))) };
    if setrlimit(Resource::Nofile, most).is_err() {
        // Not allowed to go beyond the hard limit: up to it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run `ip` (package iproute2)")?;
    if !output.status.success() {
        bail!("`ip {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
