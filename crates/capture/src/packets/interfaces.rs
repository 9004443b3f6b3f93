use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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
    /// The indices of those that there are now in the calling thread's network namespace.
    pub(super) fn indices(&self) -> Vec<u32> {
        match self {
            Interfaces::Any => all().into_iter().map(|(_, index)| index).collect(),
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
                all().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
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

/// Every interface of the calling thread's network namespace, by name and index.
#[expect(unsafe_code, reason = "the standard library does not know interfaces")]
fn all() -> Vec<(String, u32)> {
    let mut all = Vec::new();
    // SAFETY: gives an array that ends with a null name, or null; it is freed below, once.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return all;
    }
    for at in 0.. {
        // SAFETY: every element up to the one with the null name may be read.
        let (name, index) = unsafe { ((*list.add(at)).if_name, (*list.add(at)).if_index) };
        if name.is_null() {
            break;
        }
        // SAFETY: a C string that lives until the array is freed.
        all.push((unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned(), index));
    }
    // SAFETY: what if_nameindex gave, and nothing of it is kept.
    unsafe { libc::if_freenameindex(list) };
    all
}

/// Tells when interfaces come and go in the network namespace that it was opened in: a netlink
/// socket that listens to that.
#[derive(Debug)]
pub(super) struct Changes(OwnedFd);

impl Changes {
    /// Begins to listen.
    #[expect(unsafe_code, reason = "the standard library has no netlink")]
    pub(super) fn listen() -> io::Result<Changes> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes numbers alone.
        let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: all zeroes is a valid address of this kind.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = libc::RTMGRP_LINK as u32;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: `address` is a sockaddr_nl of that length that outlives the call.
        let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Changes(socket)) }
    }

    /// To be waited for.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Whether anything changed since the last call; what, is to be looked for.
    #[expect(unsafe_code, reason = "the standard library has no netlink")]
    pub(super) fn any(&self) -> bool {
        let mut changed = false;
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: writes at most the buffer's length to it; what does not fit is cut off.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            // Messages that were lost for want of room are a change as well.
            let lost = got < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS);
            if got <= 0 && !lost {
                return changed;
            }
            changed = true;
        }
    }
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
