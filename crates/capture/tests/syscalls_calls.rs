//! Every call variant, with each engine: the bytes that the source reports equal, to the byte, those
//! that the program says it moved.

mod live;

use std::collections::{BTreeMap, HashSet};

use l7trace_capture::syscalls::{Engine, Options};
use l7trace_event::{Cause, ConnectionKey, Endpoint, Flags};
use live::{Seen, SeenWhat, TestNamespace, Trace, Tracer, compiled, possible, run};

#[test]
fn sock_sees_every_call_at_each_end() {
    every_call(Engine::Sock, true);
}

#[test]
fn tracepoints_see_every_call_at_each_end() {
    every_call(Engine::Tracepoints, true);
}

#[test]
fn sock_sees_every_call_once() {
    every_call(Engine::Sock, false);
}

#[test]
fn tracepoints_see_every_call_once() {
    every_call(Engine::Tracepoints, false);
}

fn every_call(engine: Engine, each_end: bool) {
    let test = format!("every_call with {}", engine.name());
    if !possible(&test) || !live::has(engine, &test) {
        return;
    }
    let program = compiled("socket_calls");
    let only = std::env::var("SCENARIO").ok();
    let names = String::from_utf8(run(&mut std::process::Command::new(&program)).stdout).unwrap();
    let namespace = TestNamespace::new(&format!("{}{}", engine.name(), u8::from(each_end)));
    let begun = std::time::Instant::now();
    let tracer = Tracer::start(&Options { engine, each_end, ..namespace.options() });
    eprintln!("{}: attached in {:?}", tracer.description, begun.elapsed());
    let mut runs = Vec::new();
    for name in names.lines().filter(|name| only.as_deref().is_none_or(|only| only == *name)) {
        if name == "compat" && engine == Engine::Tracepoints {
            continue; // The tracepoints are silent about the 32-bit calls of a 64-bit program.
        }
        let child = namespace.command(&program, &[name]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", output.status);
        runs.push((name.to_owned(), pid, String::from_utf8(output.stdout).unwrap()));
    }
    let trace = tracer.stop();
    assert!(trace.not_understood.is_empty(), "{:?}", trace.not_understood);
    assert!(trace.warnings.is_empty(), "{:?}", trace.warnings);
    let mut wrong = Vec::new();
    for (name, pid, said) in &runs {
        for (index, said) in said.split("next\n").enumerate() {
            let said = Said::parse(said);
            let complaints =
                if each_end { complaints(&trace, *pid, &said) } else { complaints_of_once(&trace, *pid, &said) };
            wrong.extend(complaints.into_iter().map(|complaint| format!("{name}[{index}]: {complaint}")));
        }
    }
    assert!(wrong.is_empty(), "engine {}:\n{}", engine.name(), wrong.join("\n"));
    if only.is_none() {
        // No filter by namespace can be asked before a socket is known: other runs may be among them.
        let own = |pid: u32| runs.iter().any(|run| run.1 == pid);
        let blind = trace.blind.iter().filter(|blind| own(blind.pid)).map(|blind| blind.why);
        let blind: Vec<&str> = blind.collect();
        let expected: &[&str] = match engine {
            Engine::Tracepoints => &["io_uring", "io_uring"],
            _ => &["io_uring", "io_uring", "compat"],
        };
        assert_eq!(blind, expected, "each process once: {:?}", trace.blind);
    }
}

/// What a run of the program said of itself.
#[derive(Debug, Default)]
struct Said {
    port: Option<u16>,
    inode: Option<u64>,
    name_of_b: Option<String>,
    totals: [usize; 2],
    unread: [usize; 2],
    /// By end that sent and place that saw: bytes by cause.
    missing: [[BTreeMap<String, usize>; 2]; 2],
}

impl Said {
    fn parse(text: &str) -> Said {
        let mut said = Said::default();
        let end = |name: &str| usize::from(name == "b");
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["end", "a", "port", port] => said.port = port.parse().ok(),
                ["end", "a", "inode", inode] => said.inode = inode.parse().ok(),
                ["name", "b", name] => said.name_of_b = Some(name.to_owned()),
                ["total", of, count] => said.totals[end(of)] = count.parse().unwrap(),
                ["unread", of, count] => said.unread[end(of)] = count.parse().unwrap(),
                ["missing", of, who, cause, count] => {
                    let place = usize::from(who == "receiver");
                    *said.missing[end(of)][place].entry(cause.to_owned()).or_default() +=
                        count.parse::<usize>().unwrap();
                }
                _ => panic!("the program said {line:?}"),
            }
        }
        said
    }

    fn is_a(&self, endpoint: Endpoint) -> bool {
        match self.inode {
            Some(inode) => endpoint == Endpoint::unix(inode),
            None => !endpoint.is_unix() && Some(endpoint.port()) == self.port,
        }
    }
}

fn complaints(trace: &Trace, pid: u32, said: &Said) -> Vec<String> {
    let mut wrong = Vec::new();
    // Other runs may have had the same port.
    let owned = |event: &&Seen| matches!(&event.what, SeenWhat::Owner(process) if process.pid == pid);
    let own: HashSet<ConnectionKey> =
        trace.events.iter().filter(owned).map(|event| event.tuple.connection().0).collect();
    for (end, total) in said.totals.into_iter().enumerate() {
        let of_end = |event: &&Seen| {
            let a = if end == 0 { event.tuple.source } else { event.tuple.destination };
            said.is_a(a) && own.contains(&event.tuple.connection().0)
        };
        let events: Vec<&Seen> = trace.events.iter().filter(of_end).collect();
        let name = ["a", "b"][end];
        let Some(base) = events.iter().find_map(|event| opening(event)) else {
            wrong.push(format!("{name}: no opening among {} events", events.len()));
            continue;
        };
        for place in 0..2 {
            let total = total - [0, said.unread[end]][place];
            let mut covered = vec![false; total];
            let mut missing: BTreeMap<String, usize> = BTreeMap::new();
            for event in events.iter().filter(|event| event.place as usize == place) {
                let SeenWhat::Segment { position, bytes, missing: length, cause, flags, .. } = &event.what else {
                    continue;
                };
                if flags.has(Flags::OPEN) {
                    continue;
                }
                let at = position.wrapping_sub(base) as usize;
                let end_at = at.saturating_add(bytes.len() + *length as usize);
                if end_at > total {
                    wrong.push(format!("{name} place {place}: {at}..{end_at} of {total}"));
                    continue;
                }
                if covered[at..end_at].contains(&true) {
                    wrong.push(format!("{name} place {place}: {at}..{end_at} twice"));
                }
                covered[at..end_at].fill(true);
                let different = (0..bytes.len()).find(|i| bytes[*i] != pattern(at + i, end));
                if let Some(i) = different {
                    wrong.push(format!("{name} place {place}: {at}..{end_at} differs at {i}"));
                }
                if *length > 0 {
                    *missing.entry(cause.map_or("none", Cause::name).to_owned()).or_default() += *length as usize;
                }
                if flags.has(Flags::END) && at != total {
                    wrong.push(format!("{name} place {place}: ends at {at} of {total}"));
                }
            }
            let holes = covered.iter().filter(|covered| !**covered).count();
            if holes > 0 {
                let first = covered.iter().position(|covered| !covered);
                wrong.push(format!("{name} place {place}: {holes} of {total} bytes not seen, the first {first:?}"));
            }
            if missing != said.missing[end][place] {
                wrong.push(format!("{name} place {place}: missing {missing:?}, not {:?}", said.missing[end][place]));
            }
        }
        let owners: Vec<u32> = events.iter().filter_map(owner).collect();
        let passed_on = name == "b" && owners.len() == 1 && owners[0] > pid;
        if !owners.contains(&pid) && !passed_on && total > 0 {
            wrong.push(format!("{name}: no owner {pid} but {owners:?}"));
        }
        // A reset of one direction is the end of both.
        let reset = said.unread != [0; 2] && end == 0;
        if said.port.is_some() && !reset && !events.iter().any(ends) {
            wrong.push(format!("{name}: no end"));
        }
        if let (1, Some(expected)) = (end, &said.name_of_b)
            && !events.iter().any(|event| matches!(&event.what, SeenWhat::Name(name) if **name == **expected))
        {
            wrong.push(format!("b: no name {expected}"));
        }
    }
    wrong
}

/// Where the receiving end tells of what the sending one did not, every byte is there that either end
/// could have told of.
fn complaints_of_once(trace: &Trace, pid: u32, said: &Said) -> Vec<String> {
    let mut wrong = Vec::new();
    let owned = |event: &&Seen| matches!(&event.what, SeenWhat::Owner(process) if process.pid == pid);
    let own: HashSet<ConnectionKey> =
        trace.events.iter().filter(owned).map(|event| event.tuple.connection().0).collect();
    for (end, total) in said.totals.into_iter().enumerate() {
        let name = ["a", "b"][end];
        let of_end = |event: &&Seen| {
            let a = if end == 0 { event.tuple.source } else { event.tuple.destination };
            said.is_a(a) && own.contains(&event.tuple.connection().0)
        };
        let events: Vec<&Seen> = trace.events.iter().filter(of_end).collect();
        let Some(base) = events.iter().find_map(|event| opening(event)) else {
            wrong.push(format!("{name}: no opening among {} events", events.len()));
            continue;
        };
        let mut covered = vec![false; total];
        for event in events {
            let SeenWhat::Segment { position, bytes, flags, .. } = &event.what else { continue };
            if flags.has(Flags::OPEN) {
                continue;
            }
            let at = position.wrapping_sub(base) as usize;
            match covered.get_mut(at..at + bytes.len()) {
                Some(covered) => covered.fill(true),
                None => wrong.push(format!("{name}: {} bytes at {at} of {total}", bytes.len())),
            }
            if let Some(i) = (0..bytes.len()).find(|i| bytes[*i] != pattern(at + i, end)) {
                wrong.push(format!("{name} place {}: {at} differs at {i}", event.place));
            }
        }
        let holes = covered.iter().filter(|covered| !**covered).count();
        let unseen = |place: usize| said.missing[end][place].values().sum::<usize>() + [0, said.unread[end]][place];
        if holes > unseen(0).min(unseen(1)) {
            wrong.push(format!("{name}: {holes} of {total} bytes not seen"));
        }
    }
    wrong
}

/// The position of the first byte, where the event is the opening of its direction.
fn opening(event: &Seen) -> Option<u32> {
    match &event.what {
        SeenWhat::Segment { position, flags, .. } if flags.has(Flags::OPEN) => Some(position.wrapping_add(1)),
        _ => None,
    }
}

fn owner(event: &&Seen) -> Option<u32> {
    match &event.what {
        SeenWhat::Owner(process) => Some(process.pid),
        _ => None,
    }
}

fn ends(event: &&Seen) -> bool {
    matches!(&event.what, SeenWhat::Segment { flags, .. } if flags.has(Flags::END) || flags.has(Flags::RESET))
}

/// As in `socket_calls.c`.
fn pattern(i: usize, end: usize) -> u8 {
    (i * 131 + (i >> 8) * 17 + end * 7) as u8
}

#[test]
fn a_thousand_processes_that_each_say_one_thing_and_two_tracers_at_once() {
    if !possible("a_thousand_processes") {
        return;
    }
    let program = compiled("socket_calls");
    let namespace = TestNamespace::new("thousand");
    let tracers = [Tracer::start(&namespace.options()), Tracer::start(&namespace.options())];
    let script = format!("i=0; while [ $i -lt 1000 ]; do {} offsets_refused; i=$((i+1)); done", program.display());
    run(&mut namespace.command("sh", &["-c", &script]));
    for tracer in tracers {
        let trace = tracer.stop();
        assert!(trace.not_understood.is_empty(), "{:?}", trace.not_understood);
        let mut bytes = [0; 2];
        let mut owners = HashSet::new();
        for event in &trace.events {
            match &event.what {
                SeenWhat::Segment { bytes: copied, .. } => bytes[event.place as usize] += copied.len(),
                SeenWhat::Owner(process) => {
                    assert_eq!(process.name, program.file_name().unwrap().to_string_lossy()[..15]);
                    owners.insert((process.pid, process.started));
                }
                _ => {}
            }
        }
        assert_eq!((bytes, owners.len()), ([100_000; 2], 1000));
    }
}
