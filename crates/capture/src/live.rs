//! The sources of a live host, and which of them a user gets.

use std::path::{Path, PathBuf};

use crate::kernel::{self, NetworkNamespace};
use crate::{Error, Source, packets, syscalls};

/// What users may set of live sources; each source takes what concerns it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The sources, by name; `auto` or nothing: the best that this host allows.
    pub sources: Vec<String>,
    /// Which kernel hooks the syscalls source uses.
    pub engine: String,
    /// Only these processes.
    pub pids: Vec<u32>,
    /// Their descendants too.
    pub follow: bool,
    /// Only processes of these command names.
    pub commands: Vec<String>,
    /// Only processes in these cgroups and below.
    pub cgroups: Vec<PathBuf>,
    /// In this network namespace: a path, a process id, or `self`.
    pub netns: Option<String>,
    /// Only connections with one of these ports at either end.
    pub ports: Vec<u16>,
    /// Only these interfaces; all where empty.
    pub interfaces: Vec<String>,
    /// The size of the kernel's ring buffer in bytes.
    pub ring_size: Option<usize>,
    /// How many bytes of one call the syscalls source copies.
    pub copy_limit: usize,
}

/// A source of a live host.
pub struct Kind {
    /// Its name on the command line.
    pub name: &'static str,
    /// Opens it.
    pub open: fn(&Options) -> Result<Source, Error>,
}

/// Every source of a live host, the best first: what `auto` tries in this order.
pub static LIVE: &[Kind] =
    &[Kind { name: "syscalls", open: open_syscalls }, Kind { name: "packets", open: open_packets }];

/// The names of the syscalls source's engines.
pub fn engine_names() -> impl Iterator<Item = &'static str> {
    ENGINES.iter().map(|engine| engine.name())
}

const ENGINES: [syscalls::Engine; 3] = [syscalls::Engine::Auto, syscalls::Engine::Sock, syscalls::Engine::Tracepoints];

/// Opens the sources that were asked for.
///
/// # Errors
/// Where a source has no such name or cannot be opened; for `auto` where none can.
pub fn open(options: &Options) -> Result<Vec<Source>, Error> {
    let sources = open_all(options);
    kernel::give_memory_back();
    sources
}

fn open_all(options: &Options) -> Result<Vec<Source>, Error> {
    verify(options)?;
    let mut names: Vec<&str> = options.sources.iter().map(String::as_str).collect();
    // The best witness first: the command lets it speak first as well.
    names.sort_by_key(|name| LIVE.iter().position(|kind| kind.name == *name));
    names.dedup();
    if names.is_empty() || names == ["auto"] {
        return open_best(options).map(|source| vec![source]);
    }
    let open = |name: &str| match LIVE.iter().find(|kind| kind.name == name) {
        Some(kind) => (kind.open)(options),
        None => {
            let known: Vec<&str> = LIVE.iter().map(|kind| kind.name).collect();
            Err(Error::Failed(format!("no source is called `{name}`; there are {} and auto", known.join(", "))))
        }
    };
    names.into_iter().map(open).collect()
}

/// Refuses filters that nothing can ever pass, whatever the source: silence must not look like calm.
fn verify(options: &Options) -> Result<(), Error> {
    for path in &options.cgroups {
        syscalls::cgroup_folder(path)?;
    }
    match options.pids.iter().find(|pid| !Path::new(&format!("/proc/{pid}")).is_dir()) {
        Some(pid) => Err(Error::Failed(format!("cannot trace process {pid}: there is none of this number"))),
        None => Ok(()),
    }
}

/// Opens the first source that this host allows.
fn open_best(options: &Options) -> Result<Source, Error> {
    let mut refusals = Vec::new();
    for kind in LIVE {
        // An interface is the packets source's word: who names one wants that source.
        if !options.interfaces.is_empty() && kind.name != "packets" {
            continue;
        }
        match (kind.open)(options) {
            Ok(mut source) => {
                if !refusals.is_empty() {
                    source.description = format!("{} (auto: {})", source.description, refusals.join("; "));
                }
                return Ok(source);
            }
            Err(error) => refusals.push(format!("{}: {error}", kind.name)),
        }
    }
    Err(Error::Failed(match &refusals[..] {
        [one] => one.clone(),
        all => format!("no source can be used\n  {}", all.join("\n  ")),
    }))
}

fn open_packets(options: &Options) -> Result<Source, Error> {
    packets::open(&packets::Options {
        interfaces: options.interfaces.clone(),
        namespace: options.netns.as_deref().map_or(NetworkNamespace::Own, NetworkNamespace::parse),
        ports: options.ports.clone(),
        ring_bytes: options.ring_size.unwrap_or(packets::RING_BYTES),
        owners: true,
    })
}

fn open_syscalls(options: &Options) -> Result<Source, Error> {
    let engine = match options.engine.as_str() {
        "" => syscalls::Engine::Auto,
        name => syscalls::Engine::parse(name).ok_or_else(|| {
            let known = ENGINES.map(syscalls::Engine::name).join(", ");
            Error::Failed(format!("no engine is called `{name}`; there are {known}"))
        })?,
    };
    let defaults = syscalls::Options::default();
    syscalls::open(&syscalls::Options {
        engine,
        pids: options.pids.clone(),
        follow: options.follow,
        commands: options.commands.clone(),
        cgroups: options.cgroups.clone(),
        namespaces: options.netns.as_deref().map(NetworkNamespace::parse).into_iter().collect(),
        ports: options.ports.clone(),
        ring_bytes: options.ring_size.unwrap_or(defaults.ring_bytes),
        copy_limit: u32::try_from(options.copy_limit).unwrap_or(u32::MAX),
        ..defaults
    })
}
