//! The kernel side of l7trace: the built eBPF objects, and the mirror of the structures that they
//! hand up.
//!
//! The sources are in `bpf/`, one `NAME.bpf.c` for each object; `cargo xtask probes` builds them with
//! clang-19 into `objects/`, where they are committed, so that building l7trace needs Rust alone.

mod fields;
pub mod limits;
pub mod owners;
pub mod packets;
pub mod syscalls;
pub mod ways;

/// Object files must be aligned as an ELF header is.
#[repr(C, align(16))]
struct Aligned<Bytes: ?Sized>(Bytes);

/// The committed object of this name for the architecture that is being built for.
macro_rules! object {
    ($name:literal) => {{
        #[cfg(target_arch = "x86_64")]
        const BYTES: &[u8] = include_bytes!(concat!("../objects/x86_64/", $name, ".o"));
        #[cfg(target_arch = "aarch64")]
        const BYTES: &[u8] = include_bytes!(concat!("../objects/aarch64/", $name, ".o"));
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        compile_error!("l7trace has eBPF objects for x86_64 and aarch64");

        static OBJECT: &crate::Aligned<[u8]> = &{
            let mut bytes = [0; BYTES.len()];
            bytes.copy_from_slice(BYTES);
            crate::Aligned(bytes)
        };
        &OBJECT.0
    }};
}
use object;

/// The map of type ring buffer that every object has.
pub const RING: &str = "ring";

/// The map that counts what found no room in the ring: an array of [`Lost`] by CPU.
pub const LOST: &str = "lost";

/// The map of one number that the reader sets before it sleeps for long: what comes then wakes it.
pub const ASLEEP: &str = "asleep";

/// The constant that says how many bytes must wait in the ring before its reader is woken.
pub const WAKE_AT: &str = "wake_at";

/// `struct lost` of `ring.h`: what one CPU could not hand up.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Lost {
    /// How many records found no room.
    pub records: u64,
    /// How many bytes of payload they stood for.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Lost>() == 64);
