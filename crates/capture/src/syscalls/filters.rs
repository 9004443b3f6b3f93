use std::borrow::BorrowMut;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData};
use aya::{Ebpf, EbpfLoader, Pod};
use l7trace_probes::syscalls::{global, map};

use super::Options;
use crate::Error;
use crate::kernel::{Limits, Namespace, chain};

/// The options' filters in the kernel's terms: numbers.
#[derive(Debug)]
pub(super) struct Filters {
    pids: Vec<u32>,
    commands: Vec<[u8; 16]>,
    cgroups: Vec<u64>,
    namespaces: Vec<u32>,
    ports: Vec<u16>,
    globals: Globals,
    /// Holds the namespaces open, so that their numbers are nobody else's.
    _open: Vec<Namespace>,
}

/// What the programs are told once for all.
#[derive(Debug)]
struct Globals {
    tracer: u32,
    pid_namespace: u32,
    namespaces: u32,
    pids: u32,
    commands: u32,
    cgroups: u32,
    ports: u32,
    follow: u32,
    copy_limit: u32,
    each_end: u32,
}

/// The inode number of the first PID namespace (`include/linux/proc_ns.h`).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

impl Filters {
    /// Resolves what the options name.
    pub(super) fn new(options: &Options) -> Result<Filters, Error> {
        let commands: Vec<[u8; 16]> = options.commands.iter().map(|command| command_key(command)).collect();
        let cgroups = options.cgroups.iter().map(|path| cgroup_id(path)).collect::<Result<Vec<u64>, Error>>()?;
        let open = options.namespaces.iter().map(Namespace::open).collect::<Result<Vec<Namespace>, Error>>()?;
        let namespaces: Vec<u32> = open.iter().map(Namespace::inode).collect();
        let globals = Globals {
            tracer: std::process::id(),
            pid_namespace: own_pid_namespace(),
            namespaces: count(&namespaces),
            // With `follow` alone the processes are yet to come.
            pids: count(&options.pids).max(u32::from(options.follow)),
            commands: count(&commands),
            cgroups: count(&cgroups),
            ports: count(&options.ports),
            follow: u32::from(options.follow),
            copy_limit: options.copy_limit,
            each_end: u32::from(options.each_end),
        };
        Ok(Filters {
            pids: options.pids.clone(),
            commands,
            cgroups,
            namespaces,
            ports: options.ports.clone(),
            globals,
            _open: open,
        })
    }

    /// Sets the globals of an object that is about to be loaded.
    pub(super) fn configure<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        let globals = &self.globals;
        for (name, value) in [
            (global::TRACER, &globals.tracer),
            (global::PID_NAMESPACE, &globals.pid_namespace),
            (global::NETWORK_NAMESPACES, &globals.namespaces),
            (global::PIDS, &globals.pids),
            (global::COMMANDS, &globals.commands),
            (global::CGROUPS, &globals.cgroups),
            (global::PORTS, &globals.ports),
            (global::FOLLOW, &globals.follow),
            (global::COPY_LIMIT, &globals.copy_limit),
            (global::EACH_END, &globals.each_end),
        ] {
            loader.override_global(name, value, true);
        }
        Limits::configure(loader);
    }

    /// Fills the maps of a loaded object.
    pub(super) fn fill(&self, ebpf: &mut Ebpf) -> Result<(), Error> {
        insert(ebpf, map::PIDS, &self.pids)?;
        insert(ebpf, map::COMMANDS, &self.commands)?;
        insert(ebpf, map::CGROUPS, &self.cgroups)?;
        insert(ebpf, map::NAMESPACES, &self.namespaces)?;
        insert(ebpf, map::PORTS, &self.ports)
    }
}

fn insert<K: Pod>(ebpf: &mut Ebpf, name: &str, keys: &[K]) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let failed = |why: String| Error::Failed(format!("cannot set the filter {name} in the kernel: {why}"));
    let map = ebpf.map_mut(name).ok_or_else(|| failed("the object has no such map".into()))?;
    let mut map: HashMap<_, K, u8> = HashMap::try_from(map).map_err(|error| failed(chain(&error)))?;
    keys.iter().try_for_each(|key| add(&mut map, *key).map_err(&failed))
}

/// Adds one value to a filter.
pub(super) fn add<T: BorrowMut<MapData>, K: Pod>(map: &mut HashMap<T, K, u8>, key: K) -> Result<(), String> {
    map.insert(key, 1, 0).map_err(|error| chain(&error))
}

fn count<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

/// A command name as the kernel keeps it: 15 bytes at most, filled up with zeros.
fn command_key(command: &str) -> [u8; 16] {
    let mut key = [0; 16];
    let length = command.len().min(15);
    key[..length].copy_from_slice(&command.as_bytes()[..length]);
    key
}

/// The inode number of the tracer's PID namespace, or 0 where that is the first one.
fn own_pid_namespace() -> u32 {
    match fs::metadata("/proc/self/ns/pid").map(|metadata| metadata.ino()) {
        Ok(FIRST_PID_NAMESPACE) | Err(_) => 0,
        Ok(inode) => inode as u32,
    }
}

/// The id of a cgroup: the inode number of its folder (`fs/kernfs`, on 64-bit machines).
fn cgroup_id(path: &Path) -> Result<u64, Error> {
    let folder = cgroup_folder(path)?;
    let metadata = fs::metadata(&folder).map_err(|error| no_cgroup(path, &format!("{}: {error}", folder.display())))?;
    Ok(metadata.ino())
}

/// The folder of a cgroup, named by that folder or by its path below the mount of cgroup2.
///
/// # Errors
/// Where there is none.
pub fn cgroup_folder(path: &Path) -> Result<PathBuf, Error> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts: Vec<PathBuf> = unified_hierarchies(&mounts);
    let Some(mount) = mounts.first() else {
        return Err(no_cgroup(path, "the unified hierarchy (cgroup2) is not mounted"));
    };
    let folder = if mounts.iter().any(|mount| path.starts_with(mount)) {
        path.to_path_buf()
    } else {
        mount.join(path.strip_prefix("/").unwrap_or(path))
    };
    match fs::metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => Ok(folder),
        Ok(_) => Err(no_cgroup(path, &format!("{} is not a folder", folder.display()))),
        Err(error) => Err(no_cgroup(path, &format!("{}: {error}", folder.display()))),
    }
}

fn no_cgroup(path: &Path, why: &str) -> Error {
    Error::Failed(format!("cannot trace the cgroup {}: {why}", path.display()))
}

/// Where cgroup2 is mounted, of the lines of `/proc/self/mounts`.
fn unified_hierarchies(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    fields.filter(|fields| fields.get(2) == Some(&"cgroup2")).map(|fields| PathBuf::from(fields[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(&command_key("nginx"), b"nginx\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&command_key("a-very-long-command-name"), b"a-very-long-com\0");
    }

    #[test]
    fn finds_the_unified_hierarchy() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(unified_hierarchies(mounts), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }
}
