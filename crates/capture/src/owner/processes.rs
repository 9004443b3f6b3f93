use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use l7trace_event::Process;

/// Which processes hold which sockets, by `/proc/*/fd`.
///
/// Looking through all of `/proc` takes milliseconds to hundreds of them. So processes that held
/// sockets lately are looked at first, then all from the youngest on, and never for more than a
/// small share of the time.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Processes that held sockets that were asked for, most lately first.
    likely: VecDeque<u32>,
    /// No full look before.
    rest_until: Option<Instant>,
    /// How long the latest call spent on a full look.
    full_look: Duration,
    known: HashMap<u32, Arc<Process>>,
    cgroups: HashMap<String, u64>,
}

/// A full look is followed by so many times its own length without one.
const REST: u32 = 20;
const LIKELY: usize = 64;
const KNOWN: usize = 4096;

/// The holders of each socket that was found, by inode.
pub(super) type Holders = HashMap<u32, Vec<u32>>;

impl Processes {
    /// Who holds these sockets, as far as it can be told now.
    pub(super) fn holders(&mut self, inodes: &HashSet<u32>) -> Holders {
        let mut holders = Holders::new();
        self.full_look = Duration::ZERO;
        if inodes.is_empty() {
            return holders;
        }
        for pid in self.likely.clone() {
            self.look(pid, inodes, &mut holders);
        }
        let resting = self.rest_until.is_some_and(|until| Instant::now() < until);
        if holders.len() < inodes.len() && !resting {
            let start = Instant::now();
            let looked: HashSet<u32> = self.likely.iter().copied().collect();
            for pid in pids() {
                if !looked.contains(&pid) {
                    self.look(pid, inodes, &mut holders);
                }
            }
            self.full_look = start.elapsed();
            self.rest_until = Some(Instant::now() + (self.full_look * REST).min(Duration::from_secs(10)));
        }
        holders
    }

    /// How long the latest search spent on looking through all processes.
    pub(super) fn full_look(&self) -> Duration {
        self.full_look
    }

    fn look(&mut self, pid: u32, inodes: &HashSet<u32>, holders: &mut Holders) {
        let Ok(folder) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            self.likely.retain(|likely| *likely != pid);
            return;
        };
        let mut holds = false;
        for entry in folder.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let Some(inode) = socket_inode(target.as_os_str().as_bytes()) else { continue };
            if inodes.contains(&inode) {
                let pids = holders.entry(inode).or_default();
                if !pids.contains(&pid) {
                    pids.push(pid);
                }
                holds = true;
            }
        }
        if holds {
            self.expect(pid);
        }
    }

    /// This process is likely to hold what will be asked for.
    pub(super) fn expect(&mut self, pid: u32) {
        if self.likely.front() != Some(&pid) {
            self.likely.retain(|likely| *likely != pid);
            self.likely.push_front(pid);
            self.likely.truncate(LIKELY);
        }
    }

    /// The process of this id as it is now.
    pub(super) fn process(&mut self, pid: u32) -> Option<Arc<Process>> {
        let mut name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        name.truncate(name.trim_end_matches('\n').len());
        let started = started(pid)?;
        if let Some(known) = self.known.get(&pid)
            && known.started == started
            && known.name == name
        {
            return Some(Arc::clone(known));
        }
        let cgroup = self.cgroup(pid);
        let process = Arc::new(Process { pid, name, started, cgroup });
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(pid, Arc::clone(&process));
        Some(process)
    }

    fn cgroup(&mut self, pid: u32) -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::")) else { return 0 };
        if let Some(id) = self.cgroups.get(path) {
            return *id;
        }
        let under = path.trim_start_matches('/');
        let unified = [Path::new("/sys/fs/cgroup"), Path::new("/sys/fs/cgroup/unified")];
        let found = unified.iter().filter(|root| root.join("cgroup.controllers").exists());
        let id =
            found.filter_map(|root| fs::metadata(root.join(under)).ok()).next().map_or(0, |metadata| metadata.ino());
        if self.cgroups.len() >= KNOWN {
            self.cgroups.clear();
        }
        self.cgroups.insert(path.to_owned(), id);
        id
    }
}

/// Every process, the youngest first as far as ids tell.
fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable_by(|one, two| two.cmp(one));
    pids
}

/// `socket:[4711]`.
fn socket_inode(target: &[u8]) -> Option<u32> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// When a process started, in nanoseconds since boot: field 22 of its `stat`, in ticks of 10 ms.
/// The name, field 2, may contain anything, also parentheses and spaces.
fn started(pid: u32) -> Option<u64> {
    let mut stat = Vec::new();
    fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_end(&mut stat).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = String::from_utf8_lossy(stat.get(behind_name..)?);
    let ticks: u64 = fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    ticks.checked_mul(10_000_000)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::process;

    use super::*;

    #[test]
    fn finds_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str().as_bytes()).unwrap();
        let mut processes = Processes::default();
        let holders = processes.holders(&HashSet::from([inode]));
        assert_eq!(holders[&inode], [process::id()]);
        let own = processes.process(process::id()).unwrap();
        assert_eq!(own.name, fs::read_to_string("/proc/self/comm").unwrap().trim());
        assert!(own.started > 0);
        // Now that it is known to hold sockets, it is found at once.
        assert!(processes.rest_until.is_some());
        assert_eq!(processes.holders(&HashSet::from([inode])).len(), 1);
    }

    #[test]
    fn reads_socket_links_alone() {
        assert_eq!(socket_inode(b"socket:[4711]"), Some(4711));
        for other in [&b"pipe:[4711]"[..], b"/dev/null", b"socket:[", b"socket:[x]", b""] {
            assert_eq!(socket_inode(other), None);
        }
    }
}
