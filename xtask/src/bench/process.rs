//! Processes that the bench starts: each bounded in time, each ended with its handle, and what they
//! used.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::stop;

/// A process that is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Running> {
        let name = command
            .get_args()
            .chain([command.get_program()])
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
        Ok(Running { child, name })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard streams.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, `limit` at most.
    pub(crate) fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let status = stop::until(limit, || self.ended())?;
        status.with_context(|| format!("`{}` did not end within {limit:?}", self.name))
    }

    /// Asks it to end as Ctrl-C does, and makes it end after `limit`.
    pub(crate) fn interrupt(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.signal(Signal::INT);
        if stop::until(limit, || self.ended())?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) {
        // It may have ended by itself; its id is not reused before it is waited for.
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = Pid::from_raw(self.child.id().cast_signed())
        {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A server's workers end with their master only where it is asked to.
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end; what it printed, which must be less than a pipe holds (64 KB).
pub(crate) fn output(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let status = running.wait(limit)?;
    let (mut printed, mut errors) = (String::new(), String::new());
    if let (Some(output), Some(error)) = (running.child.stdout.as_mut(), running.child.stderr.as_mut()) {
        output.read_to_string(&mut printed)?;
        error.read_to_string(&mut errors)?;
    }
    if !status.success() {
        bail!("`{}` failed: {status}\n{}{}", running.name, printed.trim(), errors.trim());
    }
    Ok(printed)
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time of all its threads, and of its children.
    pub(crate) cpu: Duration,
    /// The most memory that was resident at once, in bytes.
    pub(crate) memory: u64,
}

/// What a process and those below it have used until now.
pub(crate) fn usage(id: u32) -> Usage {
    let mut usage = Usage::default();
    for id in family(id) {
        usage.cpu += threads_time(id).unwrap_or_else(|| process_time(id));
        usage.memory += peak_memory(id).unwrap_or(0);
    }
    usage
}

/// Memory that is resident now, in bytes.
pub(crate) fn resident(id: u32) -> u64 {
    field_of_status(id, "VmRSS:").unwrap_or(0)
}

fn peak_memory(id: u32) -> Option<u64> {
    field_of_status(id, "VmHWM:")
}

fn field_of_status(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The process and its descendants.
fn family(id: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(parent) = stat(id).and_then(|fields| fields.get(1)?.parse::<u32>().ok())
        {
            parents.push((id, parent));
        }
    }
    let mut family = vec![id];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|pair| pair.1 == parent).map(|pair| pair.0));
        next += 1;
    }
    family
}

/// In nanoseconds, where the kernel counts so for threads that live.
fn threads_time(id: u32) -> Option<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten() {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        sum += line.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// In hundredths of a second, threads that have ended included, and children that were waited for.
fn process_time(id: u32) -> Duration {
    let ticks: u64 = stat(id)
        .iter()
        .flat_map(|fields| fields.iter().skip(11).take(4))
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The fields of `/proc/ID/stat` from the state on.
fn stat(id: u32) -> Option<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(line.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// What a command came to that ran to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// How long it took.
    pub(crate) wall: Duration,
    /// What it used.
    pub(crate) usage: Usage,
}

/// Runs a command to its end and says what that took. Beyond `limit` it is ended, which is an error.
pub(crate) fn measure(command: &mut Command, limit: Duration) -> anyhow::Result<Measured> {
    stop::check()?;
    let begun = Instant::now();
    let mut running = Running::start(command)?;
    let id = running.id();
    let pid = Pid::from_raw(id.cast_signed()).context("a process has no id")?;
    let (memory, ended, killed) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let wall = thread::scope(|scope| -> anyhow::Result<Duration> {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                memory.fetch_max(peak_memory(id).unwrap_or(0), Ordering::Relaxed);
                if begun.elapsed() > limit || stop::wanted() {
                    killed.store(true, Ordering::Relaxed);
                    // It is still ours to signal: nobody has waited for it.
                    let _ = kill_process(pid, Signal::KILL);
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        let done = loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other,
            }
        };
        let wall = begun.elapsed();
        ended.store(true, Ordering::Relaxed);
        done?;
        Ok(wall)
    })?;
    let usage = Usage { cpu: process_time(id), memory: memory.into_inner() };
    let status = running.child.wait()?;
    stop::check()?;
    if killed.into_inner() {
        bail!("`{}` did not end within {limit:?}", running.name);
    }
    if !status.success() {
        bail!("`{}` failed: {status}", running.name);
    }
    Ok(Measured { wall, usage })
}
