//! `--pid`, `--command` and `--cgroup` where the kernel cannot apply them (packets): by the owner of
//! a connection, once it is known.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use l7trace_capture::syscalls::cgroup_folder;
use l7trace_event::{Process, SourceKind};
use l7trace_exchange::Connection;

use crate::cli::LiveArgs;

/// How many generations are climbed to find an ancestor (`--follow`).
const MOST_GENERATIONS: usize = 64;

/// Which owners are wanted.
pub(crate) struct OwnerFilter {
    pids: Vec<u32>,
    follow: bool,
    commands: Vec<String>,
    cgroups: Vec<PathBuf>,
    /// Ids of the wanted cgroups and those below, read anew when an unknown one comes.
    cgroup_ids: HashSet<u64>,
    /// What was decided of a process, by id and start time.
    decided: HashMap<(u32, u64), bool>,
}

impl OwnerFilter {
    /// A filter, where any owner option was given.
    pub(crate) fn new(arguments: &LiveArgs) -> Option<OwnerFilter> {
        let cgroups: Vec<PathBuf> =
            arguments.cgroups.iter().map(|path| cgroup_folder(path).unwrap_or_else(|_| path.clone())).collect();
        let any = !arguments.pids.is_empty() || !arguments.commands.is_empty() || !arguments.cgroups.is_empty();
        any.then(|| OwnerFilter {
            pids: arguments.pids.clone(),
            follow: arguments.follow,
            commands: arguments.commands.clone(),
            cgroup_ids: cgroups.iter().flat_map(|path| ids_below(path)).collect(),
            cgroups,
            decided: HashMap::new(),
        })
    }

    /// Whether the connection is wanted; none where that cannot be told yet.
    pub(crate) fn decide(&mut self, connection: &Connection, witnesses: &[SourceKind]) -> Option<bool> {
        // What the syscalls source saw, the kernel has let pass; its process may be gone already.
        if witnesses.contains(&SourceKind::Syscalls) {
            return Some(true);
        }
        let owners = [&connection.client.process, &connection.server.process];
        if owners.iter().copied().flatten().any(|process| self.wants(process)) {
            return Some(true);
        }
        owners.iter().all(|process| process.is_some()).then_some(false)
    }

    /// Decides about a process while it is there.
    pub(crate) fn note(&mut self, process: &Process) {
        self.wants(process);
    }

    fn wants(&mut self, process: &Process) -> bool {
        if let Some(known) = self.decided.get(&(process.pid, process.started)) {
            return *known;
        }
        let by_pid = self.pids.is_empty() || self.has_pid(process.pid);
        let by_command = self.commands.is_empty() || self.commands.contains(&process.name);
        let by_cgroup = self.cgroups.is_empty() || self.has_cgroup(process.cgroup);
        let wanted = by_pid && by_command && by_cgroup;
        if self.decided.len() > 100_000 {
            self.decided.clear();
        }
        self.decided.insert((process.pid, process.started), wanted);
        wanted
    }

    fn has_pid(&self, pid: u32) -> bool {
        let mut pid = pid;
        for _ in 0..MOST_GENERATIONS {
            if self.pids.contains(&pid) {
                return true;
            }
            match parent_of(pid) {
                Some(parent) if self.follow && parent != 0 => pid = parent,
                _ => return false,
            }
        }
        false
    }

    fn has_cgroup(&mut self, id: u64) -> bool {
        if !self.cgroup_ids.contains(&id) {
            self.cgroup_ids = self.cgroups.iter().flat_map(|path| ids_below(path)).collect();
        }
        self.cgroup_ids.contains(&id)
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The ids (inode numbers) of a cgroup's folder and all below it.
fn ids_below(path: &Path) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        ids.extend(fs::metadata(&folder).map(|data| data.ino()));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    ids
}
