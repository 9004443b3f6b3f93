use std::error;
use std::fmt::Write as _;
use std::fs;
use std::io;

use aya::maps::{Map, MapData};
use aya::programs::ProgramError;
use aya::{Btf, Ebpf, EbpfError, EbpfLoader};
use l7trace_probes::{ASLEEP, LOST, RING, WAKE_AT};

use super::reader::{LostCounters, Sleep};
use super::{Reader, Ring, placeholders};
use crate::Error;

/// An object in the kernel: its programs, still to be attached, and the reader of its ring.
#[derive(Debug)]
pub struct Loaded {
    /// The programs and the maps other than the ring and its account. Dropping it detaches and
    /// unloads everything; nothing is pinned, so the end of the process does the same.
    pub ebpf: Ebpf,
    /// What takes the records out.
    pub reader: Reader,
}

/// Loads an object with a ring of `ring_bytes` (rounded up to a power of two of pages).
///
/// `configure` may set globals and sizes of maps. `btf` is the kernel's, for objects that use CO-RE.
/// The programs are not loaded yet: their kind decides how.
///
/// # Errors
/// Where the object cannot be loaded; the text says what the kernel said.
pub fn load<'a>(
    name: &str,
    object: &[u8],
    btf: Option<&'a Btf>,
    ring_bytes: usize,
    configure: impl FnOnce(&mut EbpfLoader<'a>),
) -> Result<Loaded, Error> {
    load_by(EbpfLoader::new(), name, object, btf, ring_bytes, configure)
}

/// The same by a loader that was made already: making one reads the layout of the kernel's structures,
/// wanted or not, which takes as long as all else together.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_by<'a>(
    mut loader: EbpfLoader<'a>,
    name: &str,
    object: &[u8],
    btf: Option<&'a Btf>,
    ring_bytes: usize,
    configure: impl FnOnce(&mut EbpfLoader<'a>),
) -> Result<Loaded, Error> {
    raise_memory_lock_limit();
    let ring_bytes = ring_size(ring_bytes);
    let wake_at = u64::from(ring_bytes) / 4;
    let processors = possible_processors()?;

    // The verifier is asked for its log only where it refused a program: leave the level as it is,
    // since asking with level 0 fails by itself and hides why.
    loader.btf(btf);
    configure(&mut loader);
    let object = placeholders::filled(object, btf);
    let mut ebpf =
        load_object(loader, &object, ring_bytes, processors, &wake_at).map_err(|error| load_error(name, &error))?;

    let ring = Ring::new(take_map(&mut ebpf, RING)?, ring_bytes as usize)?;
    let lost = LostCounters::new(take_map(&mut ebpf, LOST)?, processors as usize)?;
    let sleep = Sleep::new(take_map(&mut ebpf, ASLEEP)?)?;
    Ok(Loaded { ebpf, reader: Reader::new(ring, lost, sleep) })
}

fn load_object<'a>(
    mut loader: EbpfLoader<'a>,
    object: &[u8],
    ring_bytes: u32,
    processors: u32,
    wake_at: &'a u64,
) -> Result<Ebpf, EbpfError> {
    loader.map_max_entries(RING, ring_bytes).map_max_entries(LOST, processors);
    loader.override_global(WAKE_AT, wake_at, true);
    loader.load(object)
}

/// The ring's size as the kernel takes it: a power of two of at least a page, at most 1 GiB.
fn ring_size(wanted: usize) -> u32 {
    let wanted = wanted.clamp(RING_MINIMUM, RING_MAXIMUM).next_power_of_two();
    u32::try_from(wanted).unwrap_or(1 << 30)
}

/// Enough for a few of the longest records, and for pages of 64 KB.
const RING_MINIMUM: usize = 64 << 10;
const RING_MAXIMUM: usize = 1 << 30;

/// How many processors there can be: the largest number in `/sys/devices/system/cpu/possible`
/// (`0-3,8`) and one.
fn possible_processors() -> Result<u32, Error> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(PATH)
        .map_err(|error| Error::Failed(format!("cannot learn how many processors there are from {PATH}: {error}")))?;
    let last = text.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<u32>().ok());
    last.map(|last| last + 1).ok_or_else(|| Error::Failed(format!("cannot read {PATH}: it says {text:?}")))
}

/// Takes a ring or an array out of an object.
pub(crate) fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<MapData, Error> {
    match ebpf.take_map(name) {
        Some(Map::RingBuf(data) | Map::Array(data)) => Ok(data),
        _ => Err(Error::Failed(format!(
            "the committed eBPF object has no map {name}: rebuild it with cargo xtask probes"
        ))),
    }
}

/// Gives the kernel back what loading took: the layout of its structures takes megabytes, which an
/// allocator keeps.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library does not know its allocator")]
    // SAFETY: takes a number, and is safe to call beside other users of the allocator.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Before Linux 5.11 maps count as locked memory, of which a process may have 64 KB.
#[expect(unsafe_code, reason = "the standard library has no resource limits")]
fn raise_memory_lock_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` outlives the call, which copies it. Where it fails, loading says so.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

/// Loads a program, once more where a signal came in between: the verifier then gives up (`EAGAIN`).
///
/// # Errors
/// As [`load_error`] tells it.
pub(crate) fn load_program(name: &str, mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), Error> {
    const ATTEMPTS: usize = 5;
    for attempt in 1.. {
        match load() {
            Ok(()) => break,
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.raw_os_error() == Some(libc::EAGAIN) && attempt < ATTEMPTS => {}
            Err(error) => return Err(load_error(name, &error)),
        }
    }
    Ok(())
}

/// What to tell of a program or an object that the kernel did not take.
pub(crate) fn load_error(name: &str, error: &(dyn error::Error + 'static)) -> Error {
    Error::Failed(format!("cannot load the {name} programs into the kernel: {}{}", chain(error), advice(error)))
}

/// An error with what caused it, as one line.
pub(crate) fn chain(error: &(dyn error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        // Many messages already end with their cause's.
        if !text.ends_with(&message) {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{message}");
        }
        next = error.source();
    }
    shortened(&text)
}

/// A verifier's log may take megabytes; what matters is how it begins and how it ends.
fn shortened(text: &str) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 1200;
    let tail = text.len().saturating_sub(TAIL);
    if tail <= HEAD {
        return text.to_owned();
    }
    format!("{} […] {}", &text[..text.floor_char_boundary(HEAD)], &text[text.floor_char_boundary(tail)..])
}

/// What to do about an error of the kernel's, where there is something.
pub(crate) fn advice(error: &(dyn error::Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => {
                    " (it refuses BPF programs to this process: run l7trace as root outside of containers and user \
                     namespaces, or give the container CAP_BPF, CAP_PERFMON, CAP_NET_RAW and CAP_SYS_ADMIN; a lockdown \
                     or a seccomp filter may refuse it as well)"
                }
                Some(libc::ENOMEM) => " (there is too little memory: give a smaller ring)",
                Some(libc::EINVAL) => {
                    " (this kernel lacks something that the programs use; l7trace needs 5.8 or newer)"
                }
                _ => "",
            };
        }
        next = error.source();
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_are_shortened() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&format!("begin {}end", "é".repeat(5000)));
        assert!(long.starts_with("begin ") && long.ends_with("end") && long.len() < 1500);
    }

    #[test]
    fn ring_sizes_are_powers_of_two_within_bounds() {
        let check = |wanted: usize, expected: u32| assert_eq!(ring_size(wanted), expected, "{wanted}");
        check(0, 64 << 10);
        check(1_000_000, 1 << 20);
        check(16 << 20, 16 << 20);
        check((16 << 20) + 1, 32 << 20);
        check(usize::MAX, 1 << 30);
    }
}
