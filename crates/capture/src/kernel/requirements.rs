use std::fs;

use aya::Btf;

use crate::Error;

/// A right that loading or attaching needs (`linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Interfaces, and BPF programs on them.
    NetAdmin = 12,
    /// Packet sockets.
    NetRaw = 13,
    /// Other processes' descriptors and memory maps.
    SysPtrace = 19,
    /// Entering another network namespace.
    SysAdmin = 21,
    /// Tracing programs and reading kernel memory in them.
    Perfmon = 38,
    /// BPF programs and maps.
    Bpf = 39,
}

impl Capability {
    /// The name in manual pages and error messages.
    pub fn name(self) -> &'static str {
        match self {
            Capability::NetAdmin => "CAP_NET_ADMIN",
            Capability::NetRaw => "CAP_NET_RAW",
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
            Capability::Perfmon => "CAP_PERFMON",
            Capability::Bpf => "CAP_BPF",
        }
    }

    /// Whether the calling thread has it.
    pub fn is_held(self) -> bool {
        effective() >> (self as u8) & 1 == 1
    }
}

/// Checks that every one of `needed` is held for `purpose` ("trace packets").
///
/// # Errors
/// Names what is missing and how to get it.
pub fn require_capabilities(purpose: &str, needed: &[Capability]) -> Result<(), Error> {
    missing_capabilities(purpose, needed, effective()).map_or(Ok(()), |text| Err(Error::Failed(text)))
}

fn missing_capabilities(purpose: &str, needed: &[Capability], held: u64) -> Option<String> {
    let has = |capability: Capability| held >> (capability as u8) & 1 == 1;
    // The older, wider right contains the two that were split from it in Linux 5.8.
    let granted = |capability| {
        has(capability) || matches!(capability, Capability::Bpf | Capability::Perfmon) && has(Capability::SysAdmin)
    };
    let missing: Vec<&str> = needed.iter().filter(|it| !granted(**it)).map(|it| it.name()).collect();
    if missing.is_empty() {
        return None;
    }
    let all: Vec<String> = needed.iter().map(|it| it.name().to_lowercase()).collect();
    Some(format!(
        "cannot {purpose}: this process lacks {}; run l7trace as root (sudo), or give the program these rights once: \
         sudo setcap {}+ep \"$(command -v l7trace)\"",
        missing.join(" and "),
        all.join(","),
    ))
}

/// The effective capabilities of the calling thread, a bit each.
fn effective() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Checks that the kernel has what every program here needs.
///
/// # Errors
/// Where it is older than the BPF ring buffer.
pub fn require_kernel() -> Result<(), Error> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    too_old(release.trim()).map_or(Ok(()), |text| Err(Error::Failed(text)))
}

/// The first two numbers of a kernel's release.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

fn too_old(release: &str) -> Option<String> {
    let version = version(release)?;
    (version < (5, 8)).then(|| {
        format!(
            "cannot trace on kernel {release}: it has no BPF ring buffer; l7trace needs Linux 5.8 or newer \
             (`l7trace read FILE` works on any)"
        )
    })
}

/// The kernel's own types, for programs that follow its structures.
///
/// # Errors
/// Where the kernel was built without them.
pub fn kernel_btf() -> Result<Btf, Error> {
    Btf::from_sys_fs().map_err(|error| {
        Error::Failed(format!(
            "cannot learn the layout of this kernel's structures: /sys/kernel/btf/vmlinux: {}; the kernel must be built \
             with CONFIG_DEBUG_INFO_BTF=y, as those of the distributions are; `--source packets` works without it",
            super::load::chain(&error)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_missing_capabilities_alone() {
        let check = |held: &[Capability], expected: Option<&str>| {
            let held = held.iter().fold(0, |mask, it| mask | 1 << (*it as u8));
            let text = missing_capabilities("trace packets", &[Capability::Bpf, Capability::NetRaw], held);
            match (text, expected) {
                (None, None) => {}
                (Some(text), Some(expected)) => assert!(text.contains(&format!("lacks {expected};")), "{text}"),
                (text, expected) => panic!("{text:?}, expected {expected:?}"),
            }
        };
        check(&[Capability::Bpf, Capability::NetRaw], None);
        check(&[Capability::SysAdmin, Capability::NetRaw], None);
        check(&[Capability::Bpf], Some("CAP_NET_RAW"));
        check(&[], Some("CAP_BPF and CAP_NET_RAW"));
        check(&[Capability::Perfmon], Some("CAP_BPF and CAP_NET_RAW"));
    }

    #[test]
    fn knows_kernels_that_are_too_old() {
        for release in ["4.19.0-27-amd64", "5.4.0-150-generic", "5.7", "3.10.0"] {
            let text = too_old(release).unwrap();
            assert!(text.contains(release) && text.contains("ring buffer"), "{text}");
        }
        for release in ["5.8.0", "5.10.0-33-amd64", "6.18.44-fc", "10.0", "unknown", ""] {
            assert_eq!(too_old(release), None, "{release}");
        }
    }
}
