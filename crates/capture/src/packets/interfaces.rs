use std::ffi::{CStr, CString};

use crate::Error;

/// The interfaces to capture on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interfaces {
    /// All, also those that come later.
    Any,
    /// These: name and index.
    Named(Vec<(String, u32)>),
}

impl Interfaces {
    /// An index for each socket to open; 0 stands for all.
    pub(super) fn indices(&self) -> Vec<u32> {
        match self {
            Interfaces::Any => vec![0],
            Interfaces::Named(named) => named.iter().map(|(_, index)| *index).collect(),
        }
    }

    /// `any`, `lo, eth0`.
    pub(super) fn description(&self) -> String {
        match self {
            Interfaces::Any => "any".into(),
            Interfaces::Named(named) => named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Finds the interfaces of these names in the calling thread's network namespace.
pub(super) fn choose(names: &[String]) -> Result<Interfaces, Error> {
    if names.is_empty() || names.iter().any(|name| name == "any") {
        return Ok(Interfaces::Any);
    }
    let mut named: Vec<(String, u32)> = Vec::new();
    for name in names {
        let index = index_of(name).ok_or_else(|| {
            Error::Failed(format!(
                "cannot capture on {name}: there is no such interface here; there are {}",
                all_names().join(", ")
            ))
        })?;
        if !named.iter().any(|(_, known)| *known == index) {
            named.push((name.clone(), index));
        }
    }
    Ok(Interfaces::Named(named))
}

#[expect(unsafe_code, reason = "the standard library does not know interfaces")]
fn index_of(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[expect(unsafe_code, reason = "the standard library does not know interfaces")]
fn all_names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: gives an array that ends with a null name, or null; it is freed below, once.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return names;
    }
    for at in 0.. {
        // SAFETY: every element up to the one with the null name may be read.
        let name = unsafe { (*list.add(at)).if_name };
        if name.is_null() {
            break;
        }
        // SAFETY: a C string that lives until the array is freed.
        names.push(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
    }
    // SAFETY: what if_nameindex gave, and nothing of it is kept.
    unsafe { libc::if_freenameindex(list) };
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_loopback_and_names_what_there_is() {
        assert_eq!(choose(&[]).unwrap(), Interfaces::Any);
        assert_eq!(choose(&["lo".into(), "any".into()]).unwrap().description(), "any");
        assert_eq!(choose(&["lo".into(), "lo".into()]).unwrap(), Interfaces::Named(vec![("lo".into(), 1)]));
        let error = choose(&["nonesuch0".into()]).unwrap_err().to_string();
        assert!(error.contains("nonesuch0") && error.contains("there are lo"), "{error}");
    }
}
