use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

use l7trace_capture::owner::cgroup_id;
use l7trace_capture::packets::Options;
use l7trace_event::{Endpoint, Process};
use l7trace_testkit::netns::{TestNamespace, eventually};

use crate::seen::{Seen, capture, options};

fn with_owners(namespace: &TestNamespace) -> Options {
    Options { owners: true, ..options(namespace) }
}

/// The owners of ends of connections with this port there.
fn owners_of(seen: &Seen, port: u16) -> Vec<Process> {
    seen.owners.iter().filter(|(tuple, _)| tuple.source.port() == port).map(|(_, process)| process.clone()).collect()
}

#[test]
fn both_ends_are_found_while_they_last() {
    let Some(namespace) = TestNamespace::create() else { return };
    let server = namespace.start("python3", &["-m", "http.server", "--bind", "127.0.0.1", "8000"]);
    let connect = || namespace.run(|| TcpStream::connect("127.0.0.1:8000"));
    assert!(eventually(|| connect().is_ok()), "the server did not start");
    let seen = capture(&with_owners(&namespace), || {
        let client = connect().unwrap();
        thread::sleep(Duration::from_millis(300));
        drop(client);
    });
    let python = owners_of(&seen, 8000);
    assert!(
        python.iter().any(|process| process.pid == server.0.id() && process.name.starts_with("python")),
        "{python:?}"
    );
    let own = seen.owners.iter().map(|(_, process)| process).find(|process| process.pid == process::id()).unwrap();
    assert_eq!(own.name, fs::read_to_string(format!("/proc/{}/comm", process::id())).unwrap().trim());
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap();
    if let Some(path) = cgroup.lines().find_map(|line| line.strip_prefix("0::"))
        && let Ok(id) = cgroup_id(path.as_ref())
    {
        assert_eq!(own.cgroup, id);
    }
}

/// A connection that nobody holds any more when it is looked for: its listener tells.
#[test]
fn the_only_listener_owns_what_it_accepted() {
    let Some(namespace) = TestNamespace::create() else { return };
    let listener = namespace.run(|| TcpListener::bind("[::]:8000")).unwrap();
    // Children that other tests start hold a copy of the listener for a moment, and then nothing can be
    // told: one of several connections is enough.
    let seen = capture(&with_owners(&namespace), || {
        for _ in 0..5 {
            let client = namespace.run(|| TcpStream::connect("127.0.0.1:8000")).unwrap();
            drop((client, listener.accept().unwrap()));
            thread::sleep(Duration::from_millis(700));
        }
    });
    assert!(owners_of(&seen, 8000).iter().any(|process| process.pid == process::id()), "{:?}", seen.owners);
}

#[test]
fn idle_connections_are_told_at_the_start() {
    let Some(namespace) = TestNamespace::create() else { return };
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:8000")).unwrap();
    let client = namespace.run(|| TcpStream::connect("127.0.0.1:8000")).unwrap();
    let server = listener.accept().unwrap().0;
    let seen = capture(&with_owners(&namespace), || thread::sleep(Duration::from_millis(200)));
    let address =
        |stream: &TcpStream| Endpoint::inet(stream.local_addr().unwrap().ip(), stream.local_addr().unwrap().port());
    let mut ends: Vec<Endpoint> = seen.existing.iter().map(|tuple| tuple.source).collect();
    let mut expected = vec![address(&client), address(&server)];
    ends.sort();
    expected.sort();
    assert_eq!(ends, expected);
    assert!(seen.existing.iter().all(|tuple| tuple.namespace != 0));
    assert_eq!(seen.owners.iter().filter(|(_, process)| process.pid == process::id()).count(), 2);
}

/// Many connections at once are found by few looks, and the thread takes little time for it.
#[test]
fn hundreds_of_connections_at_once() {
    let Some(namespace) = TestNamespace::create() else { return };
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:8000")).unwrap();
    let seen = capture(&with_owners(&namespace), || {
        let held: Vec<_> = (0..400)
            .map(|_| (namespace.run(|| TcpStream::connect("127.0.0.1:8000")).unwrap(), listener.accept().unwrap()))
            .collect();
        thread::sleep(Duration::from_millis(1500));
        drop(held);
    });
    let mut ports: Vec<u16> =
        seen.owners.iter().map(|(tuple, _)| tuple.source.port()).filter(|port| *port != 8000).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 400);
    assert!(owners_of(&seen, 8000).len() >= 400);
}
