use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

use crate::Error;

/// Which network namespace to trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// The one that l7trace runs in.
    #[default]
    Own,
    /// The one that this process is in.
    Process(u32),
    /// The one that this file stands for: `/run/netns/NAME`, `/proc/PID/ns/net`.
    Path(PathBuf),
}

impl NetworkNamespace {
    /// Reads `self`, a process id, a path, or a name given to `ip netns add`.
    pub fn parse(text: &str) -> NetworkNamespace {
        match text.parse::<u32>() {
            Ok(pid) => NetworkNamespace::Process(pid),
            Err(_) if text == "self" => NetworkNamespace::Own,
            Err(_) if text.contains('/') => NetworkNamespace::Path(PathBuf::from(text)),
            Err(_) => NetworkNamespace::Path(PathBuf::from("/run/netns").join(text)),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            NetworkNamespace::Own => PathBuf::from("/proc/thread-self/ns/net"),
            NetworkNamespace::Process(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
            NetworkNamespace::Path(path) => path.clone(),
        }
    }
}

/// A network namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    inode: u32,
    own: bool,
}

/// `NS_GET_NSTYPE` of `linux/nsfs.h`.
const GET_TYPE: libc::c_ulong = 0xb703;

impl Namespace {
    /// Opens it.
    ///
    /// # Errors
    /// Where there is none such, or it may not be looked at.
    pub fn open(which: &NetworkNamespace) -> Result<Namespace, Error> {
        let path = which.path();
        let failed =
            |why: String| Error::Failed(format!("cannot trace the network namespace {}: {why}", path.display()));
        let file = File::open(&path).map_err(|error| {
            failed(match (which, error.kind()) {
                (NetworkNamespace::Process(pid), io::ErrorKind::NotFound) => format!("there is no process {pid}"),
                (_, io::ErrorKind::NotFound) => {
                    "there is no such file; `ip netns list` and `lsns -t net` show what there is".into()
                }
                (_, io::ErrorKind::PermissionDenied) => format!("{error}; run l7trace as root"),
                _ => error.to_string(),
            })
        })?;
        if namespace_type(&file) != Some(libc::CLONE_NEWNET) {
            return Err(failed("it is not a network namespace".into()));
        }
        let inode = |file: &File| file.metadata().map(|metadata| metadata.ino() as u32);
        let own = File::open("/proc/thread-self/ns/net").and_then(|file| inode(&file));
        let inode = inode(&file).map_err(|error| failed(error.to_string()))?;
        Ok(Namespace { file, inode, own: own.is_ok_and(|own| own == inode) })
    }

    /// The number that names it on this host.
    pub fn inode(&self) -> u32 {
        self.inode
    }

    /// Runs `work` inside of it, in a thread of its own that ends with it: sockets that it opens
    /// stay in the namespace.
    ///
    /// # Errors
    /// Where it cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if self.own {
            return Ok(work());
        }
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter().map(|()| work()));
            thread.join().map_err(|_| Error::Failed("a thread in the network namespace panicked".into()))?
        })
    }

    /// Moves the calling thread into it.
    ///
    /// # Errors
    /// Where it cannot be entered.
    #[expect(unsafe_code, reason = "the standard library has no namespaces")]
    pub fn enter(&self) -> Result<(), Error> {
        // SAFETY: takes an open descriptor; changes the calling thread's namespace alone.
        if unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
            let error = io::Error::last_os_error();
            return Err(Error::Failed(format!(
                "cannot enter the network namespace {}: {error}; this needs CAP_SYS_ADMIN: run l7trace as root",
                self.inode
            )));
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "the standard library has no ioctl")]
fn namespace_type(file: &File) -> Option<i32> {
    // SAFETY: the request takes no argument and returns a number.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), GET_TYPE as _) };
    (kind >= 0).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_users_write() {
        let check = |text: &str, expected: NetworkNamespace| assert_eq!(NetworkNamespace::parse(text), expected);
        check("self", NetworkNamespace::Own);
        check("17", NetworkNamespace::Process(17));
        check("/proc/1/ns/net", NetworkNamespace::Path("/proc/1/ns/net".into()));
        check("blue", NetworkNamespace::Path("/run/netns/blue".into()));
    }

    #[test]
    fn says_what_is_wrong_with_a_namespace() {
        let check = |text: &str, expected: &str| {
            let error = Namespace::open(&NetworkNamespace::parse(text)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("no-such-namespace", "no such file");
        check("4294967295", "no process 4294967295");
        check("/proc/self/status", "not a network namespace");
        check("/proc/self/ns/uts", "not a network namespace");
    }

    #[test]
    fn its_own_namespace_needs_no_entering() {
        let own = Namespace::open(&NetworkNamespace::Own).unwrap();
        assert!(own.inode() > 0);
        assert_eq!(own.run(|| 7).unwrap(), 7);
    }
}
