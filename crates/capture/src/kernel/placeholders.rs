use std::borrow::Cow;
use std::fs;

use aya::Btf;
use aya_obj::btf::BtfKind;

use super::requirements::version;

/// Calls in the programs (`ring.h`) that stand for functions of the kernel's own; aya knows no such.
const PLACEHOLDERS: [(i32, &str); 2] = [(0x7fff_0001, "bpf_preempt_disable"), (0x7fff_0002, "bpf_preempt_enable")];

/// Since when programs of tracepoints may be preempted.
const SINCE: (u32, u32) = (6, 19);

/// `r0 = 0`
const NOTHING: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];

/// Whether this kernel may preempt a program of a tracepoint, and skips it for others meanwhile.
pub(crate) fn programs_are_preempted() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(release.trim()).is_some_and(|version| version >= SINCE)
}

/// The object with calls of the kernel's functions where they are needed and this kernel has them,
/// and with nothing in their places otherwise.
pub(super) fn filled<'o>(object: &'o [u8], btf: Option<&Btf>) -> Cow<'o, [u8]> {
    let needed = programs_are_preempted();
    let ids = PLACEHOLDERS
        .map(|(_, name)| btf.filter(|_| needed).and_then(|btf| btf.id_by_type_name_kind(name, BtfKind::Func).ok()));
    let calls = match ids {
        [Some(disable), Some(enable)] => [disable, enable].map(kernel_call),
        _ => [NOTHING; 2],
    };
    let mut object = Cow::Borrowed(object);
    for (placeholder, call) in PLACEHOLDERS.iter().zip(calls) {
        replace(&mut object, &instruction(0, placeholder.0), &call);
    }
    object
}

/// A call of the kernel's function with this BTF id (`BPF_PSEUDO_KFUNC_CALL`).
fn kernel_call(id: u32) -> [u8; 8] {
    instruction(2, id as i32)
}

fn instruction(source: u8, immediate: i32) -> [u8; 8] {
    let [a, b, c, d] = immediate.to_le_bytes();
    [0x85, source << 4, 0, 0, a, b, c, d]
}

/// Sections of programs begin at multiples of 8, as instructions do.
fn replace(object: &mut Cow<'_, [u8]>, old: &[u8; 8], new: &[u8; 8]) {
    let places: Vec<usize> =
        object.chunks_exact(8).enumerate().filter(|(_, bytes)| bytes == old).map(|(index, _)| index * 8).collect();
    for place in places {
        object.to_mut()[place..place + 8].copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_the_committed_objects_is_filled() {
        for object in [l7trace_probes::syscalls::sock_object(), l7trace_probes::syscalls::tracepoints_object()] {
            let count =
                |object: &[u8], wanted: [u8; 8]| object.chunks_exact(8).filter(|bytes| **bytes == wanted).count();
            let places = PLACEHOLDERS.map(|(number, _)| count(object, instruction(0, number)));
            assert!(places[0] > 0 && places[0] == places[1], "{places:?}");
            let filled = filled(object, None);
            assert_eq!(filled.len(), object.len());
            assert_eq!(count(&filled, NOTHING), count(object, NOTHING) + places[0] + places[1]);
            assert_eq!(PLACEHOLDERS.map(|(number, _)| count(&filled, instruction(0, number))), [0, 0]);
        }
    }
}
