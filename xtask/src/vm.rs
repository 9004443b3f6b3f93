//! `cargo xtask vm`: l7trace on other kernels than this machine's, in virtual machines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::tools;
use initramfs::Initramfs;
use outcome::Outcome;

mod initramfs;
mod kernels;
mod outcome;

const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("gcc", "gcc"),
];

/// How many exchanges each source is to show.
const EXCHANGES: u64 = 40;

/// Without cmpxchg16b: QEMU's emulation of it (7.2, several threads) now and then leaves other flags
/// than the processor would, and a kernel that uses it in its allocator dies of that.
const CPU: &str = "max,-cx16";

/// How often a kernel is booted before it counts as one that does not.
const BOOTS: u32 = 3;

/// How long a machine may run, in seconds.
const SECONDS: &str = "400";

/// Boots each kernel and prints a table; `arguments` may name suites of Debian's, or be `--ends` for
/// the oldest and the newest alone.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let suites: Vec<&str> = match arguments {
        [] => kernels::SUITES.to_vec(),
        [ends] if ends == "--ends" => ENDS.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let faults = try_kernels(&suites)?;
    if !faults.is_empty() {
        bail!("{}\n(the logs are in target/vm)", faults.join("\n"));
    }
    Ok(())
}

/// The oldest and the newest kernel.
pub(crate) const ENDS: [&str; 2] = [kernels::SUITES[0], kernels::SUITES[kernels::SUITES.len() - 1]];

/// Boots each kernel, prints a table, and gives what is not as it should be. What fails under
/// emulation on a busy machine is tried once more, and named if it passes only then.
///
/// # Errors
/// Where the machines cannot be had: QEMU, a package or a mirror is missing.
pub(crate) fn try_kernels(suites: &[&str]) -> anyhow::Result<Vec<String>> {
    let machine = Machine::prepare()?;
    let mut faults = Vec::new();
    let mut table = vec![outcome::HEAD.to_owned()];
    for suite in suites {
        let kernel = kernels::fetch(suite, &machine.folder)?;
        println!("booting {} ({suite})", kernel.package);
        let mut outcome = machine.boot(&kernel)?;
        let first = outcome.faults();
        if !first.is_empty() {
            println!("once more, as:\n{}", first.join("\n"));
            outcome = machine.boot(&kernel)?;
        }
        faults.extend(outcome.faults().into_iter().map(|fault| format!("{}: {fault}", kernel.package)));
        table.extend(outcome.rows());
    }
    println!("\n{}", table.join("\n"));
    Ok(faults)
}

/// What is the same for every kernel.
struct Machine {
    folder: PathBuf,
    initramfs: PathBuf,
}

impl Machine {
    fn prepare() -> anyhow::Result<Machine> {
        if cfg!(not(target_arch = "x86_64")) {
            bail!("the virtual machines are x86_64, and so must this machine be");
        }
        tools::install(TOOLS)?;
        let folder = tools::root().join("target/vm");
        fs::create_dir_all(&folder)?;
        let mut files = Initramfs::default();
        for name in ["proc", "sys", "dev", "tmp", "run"] {
            files.folder(name);
        }
        files.file("init", include_bytes!("vm/init.sh"));
        for (name, program) in programs(&folder)? {
            files.program(&format!("bin/{name}"), &program, &folder)?;
        }
        let busybox = Path::new("/bin/busybox");
        files.program("bin/busybox", busybox, &folder)?;
        let applets = Command::new(busybox).arg("--list").output().context("cannot run busybox")?;
        for applet in String::from_utf8_lossy(&applets.stdout).lines() {
            files.link(&format!("bin/{applet}"), "busybox");
        }
        let initramfs = folder.join("initramfs");
        fs::write(&initramfs, files.finish())?;
        Ok(Machine { folder, initramfs })
    }

    /// Boots a kernel, again where it broke off before it came to anything of ours: emulated machines
    /// now and then do.
    fn boot(&self, kernel: &kernels::Kernel) -> anyhow::Result<Outcome> {
        for _ in 1..BOOTS {
            let outcome = self.boot_once(kernel)?;
            if outcome.has_booted() {
                return Ok(outcome);
            }
            println!("it did not boot; once more");
        }
        self.boot_once(kernel)
    }

    fn boot_once(&self, kernel: &kernels::Kernel) -> anyhow::Result<Outcome> {
        let results = self.folder.join(format!("{}.results", kernel.package));
        let log = fs::File::create(self.folder.join(format!("{}.log", kernel.package)))?;
        let status = Command::new("timeout")
            .arg(SECONDS)
            .args(["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-m", "2048"])
            .args(["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot", "-serial", "stdio"])
            .arg("-serial")
            .arg(format!("file:{}", results.display()))
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 mitigations=off EXCHANGES={EXCHANGES}"))
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .status()
            .context("cannot run qemu-system-x86_64")?;
        let text = fs::read(&results).unwrap_or_default();
        let outcome = Outcome::read(&String::from_utf8_lossy(&text), EXCHANGES);
        if !status.success() {
            println!("qemu ended with {status}");
        }
        Ok(outcome)
    }
}

/// What runs in the machine, by the name that it has there.
fn programs(folder: &Path) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    tools::run(tools::cargo().args(["build", "--profile", "quick", "--package", "l7trace"]))?;
    let mut programs = vec![("l7trace", tools::root().join("target/quick/l7trace"))];
    const SUITES: [&str; 2] = ["syscalls_calls", "syscalls_filters"];
    let mut build = tools::cargo();
    build.args(["test", "--no-run", "--profile", "quick", "--package", "l7trace-capture"]);
    build.args(SUITES.iter().flat_map(|suite| ["--test", suite]));
    let output = build.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    for suite in SUITES {
        let line = said.lines().find(|line| line.contains(&format!("tests/{suite}.rs (")));
        let path = line.and_then(|line| line.split(['(', ')']).nth(1));
        let path = path.with_context(|| format!("cargo built no {suite}:\n{said}"))?;
        programs.push((suite, tools::root().join(path)));
    }
    let calls = folder.join("socket_calls");
    let source = tools::root().join("crates/testkit/programs/socket_calls.c");
    tools::run(Command::new("gcc").args(["-O1", "-pthread", "-static", "-o"]).arg(&calls).arg(source))?;
    programs.push(("socket_calls", calls));
    for name in ["ip", "nsenter"] {
        let places = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(|folder| Path::new(folder).join(name));
        let place = places.into_iter().find(|place| place.is_file());
        programs.push((name, place.with_context(|| format!("{name} is nowhere to be found"))?));
    }
    Ok(programs)
}
