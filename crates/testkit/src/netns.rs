//! Network namespaces for tests that trace live traffic: each test makes its own, sees nothing but
//! its own traffic, and leaves nothing behind.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::skip;

/// A network namespace with loopback up, removed when dropped.
#[derive(Debug)]
pub struct TestNamespace {
    name: String,
}

/// Tells namespaces of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl TestNamespace {
    /// Makes one; none where the test does not run as root, which is said loudly: the test then
    /// returns without having shown anything.
    ///
    /// # Panics
    /// Where root cannot make one.
    pub fn create() -> Option<TestNamespace> {
        if !skip::is_root() {
            skip::skip(thread::current().name().unwrap_or("a test"), "needs root");
            return None;
        }
        let name = format!("l7-test-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let namespace = TestNamespace { name };
        namespace.ip(&["link", "set", "lo", "up"]);
        Some(namespace)
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Runs `ip` on it: `namespace.ip(&["link", "set", "lo", "mtu", "600"])`.
    ///
    /// # Panics
    /// Where that fails.
    pub fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.name], arguments].concat());
    }

    /// Connects it to another by a pair of Ethernet devices, named `name` at both ends.
    ///
    /// # Panics
    /// Where that fails.
    pub fn connect(&self, other: &TestNamespace, name: &str, addresses: [&str; 2]) {
        ip(&["-n", &self.name, "link", "add", name, "type", "veth", "peer", "name", name, "netns", &other.name]);
        for (namespace, address) in [(self, addresses[0]), (other, addresses[1])] {
            namespace.ip(&["address", "add", address, "dev", name, "nodad"]);
            namespace.ip(&["link", "set", name, "up"]);
        }
    }

    /// Runs `work` inside, in a thread of its own; sockets that it opens stay there.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let result = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.path()).unwrap_or_else(|error| panic!("cannot enter {}: {error}", self.name));
                work()
            });
            inside.join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A command that will run inside. Unlike `ip netns exec`, it leaves the mounts as they are.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a command inside to its end.
    ///
    /// # Panics
    /// Where it cannot be run.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program).args(arguments).output();
        output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"))
    }

    /// Starts a command inside, silent, killed when the result is dropped.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Running {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}")))
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        // A test that failed already must not abort here.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks again every few milliseconds until the answer is yes, for five seconds at most; whether it
/// was.
pub fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[expect(unsafe_code, reason = "the standard library has no namespaces")]
fn enter(path: &PathBuf) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: takes an open descriptor; changes the calling thread's namespace alone.
    let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap_or_else(|error| panic!("cannot run ip: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {said}", arguments.join(" "));
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;

    use super::*;

    #[test]
    fn namespaces_are_connected_and_leave_nothing() {
        let Some(one) = TestNamespace::create() else { return };
        let Some(two) = TestNamespace::create() else { return };
        one.connect(&two, "v0", ["10.9.0.1/24", "10.9.0.2/24"]);
        let listener = one.run(|| TcpListener::bind("10.9.0.1:7000")).unwrap();
        let client = two.run(|| TcpStream::connect("10.9.0.1:7000")).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        let path = one.path();
        assert!(path.exists());
        drop((one, two));
        assert!(!Path::new(&path).exists());
    }
}
