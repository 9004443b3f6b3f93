//! The committed kernel objects of both architectures: the same programs over the same maps, with
//! types that a loader can match with a kernel's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aya_obj::Object;
use aya_obj::btf::Btf;
use l7trace_testkit::skip::skip;

const OBJECTS: [&str; 4] = ["owners", "packets", "syscalls_sock", "syscalls_tracepoints"];
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

fn parsed(architecture: &str, name: &str) -> Object {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probes/objects").join(architecture);
    let bytes = fs::read(folder.join(name).with_extension("o")).unwrap();
    Object::parse(&bytes).unwrap_or_else(|error| panic!("{architecture}/{name}: {error}"))
}

#[test]
fn both_architectures_have_the_same_programs_and_maps() {
    for name in OBJECTS {
        let [one, other] = ARCHITECTURES.map(|architecture| {
            let object = parsed(architecture, name);
            assert!(object.btf.is_some(), "{architecture}/{name} has no types");
            let programs: BTreeSet<String> = object.programs.keys().cloned().collect();
            let maps: BTreeSet<(String, u32, u32)> =
                object.maps.iter().map(|(name, map)| (name.clone(), map.key_size(), map.value_size())).collect();
            (programs, maps)
        });
        assert!(!one.0.is_empty());
        assert_eq!(one, other, "{name}");
    }
}

#[test]
fn their_types_are_matched_with_this_kernels() {
    let Ok(kernel) = Btf::from_sys_fs() else {
        skip("their_types_are_matched_with_this_kernels", "/sys/kernel/btf/vmlinux cannot be read");
        return;
    };
    for architecture in ARCHITECTURES {
        for name in OBJECTS.iter().filter(|name| name.starts_with("syscalls")) {
            let mut object = parsed(architecture, name);
            assert!(object.btf_ext.is_some(), "{architecture}/{name} tells of no places to match");
            object.relocate_btf(&kernel).unwrap_or_else(|error| panic!("{architecture}/{name}: {error}"));
        }
    }
}
