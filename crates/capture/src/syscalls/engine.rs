use std::io::Read;
use std::thread;

use aya::maps::Array;
use aya::programs::{BtfTracePoint, Iter, ProgramError, TracePoint};
use aya::{Btf, Ebpf, EbpfLoader};
use l7trace_probes::syscalls::{map, sock_object, tracepoints_object};

use super::filters::Filters;
use super::tracefs::with_tracefs;
use super::{Engine, Options};
use crate::Error;
use crate::kernel::{Loaded, advice, chain, kernel_btf, load_by, programs_are_preempted};

/// An engine at work.
pub(super) struct Attached {
    pub(super) loaded: Loaded,
    /// Which one it is, and why.
    pub(super) description: String,
    /// What it has to do without.
    pub(super) warnings: Vec<String>,
}

/// The engines, the best first.
const ENGINES: [(Engine, Attach); 2] = [(Engine::Sock, attach_sock), (Engine::Tracepoints, attach_tracepoints)];

type Attach = for<'a> fn(&Options, &'a Filters, &'a Btf, EbpfLoader<'a>) -> Result<Loaded, Error>;

/// Attaches the engine that the options name, or the best that this kernel takes.
pub(super) fn attach(options: &Options, filters: &Filters) -> Result<Attached, Error> {
    // Both read the same, each for itself.
    let (btf, loader) = thread::scope(|scope| {
        let btf = scope.spawn(kernel_btf);
        let loader = EbpfLoader::new();
        (btf.join(), loader)
    });
    let btf = btf.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut loader = Some(loader);
    let mut refused: Vec<String> = Vec::new();
    for (engine, attach) in ENGINES {
        if options.engine != Engine::Auto && options.engine != engine {
            continue;
        }
        match attach(options, filters, &btf, loader.take().unwrap_or_default()) {
            Ok(mut loaded) => {
                let warnings = walk_over_existing(&mut loaded.ebpf, &btf).err().into_iter().collect();
                let why = if refused.is_empty() { String::new() } else { format!(", as {}", refused.join("; ")) };
                let limit = if engine == Engine::Tracepoints && programs_are_preempted() {
                    "; this kernel leaves out a call now and then, which sock does not"
                } else {
                    ""
                };
                return Ok(Attached { loaded, description: format!("{}{why}{limit}", engine.name()), warnings });
            }
            Err(error) if options.engine == engine => return Err(error),
            Err(error) => refused.push(format!("{} is not to be had: {error}", engine.name())),
        }
    }
    Err(Error::Failed(format!("cannot trace system calls: {}", refused.join("; "))))
}

fn attach_sock<'a>(
    options: &Options,
    filters: &'a Filters,
    btf: &'a Btf,
    loader: EbpfLoader<'a>,
) -> Result<Loaded, Error> {
    let name = "socket";
    if btf.id_by_type_name_kind("btf_trace_sock_send_length", aya_obj::btf::BtfKind::Typedef).is_err() {
        return Err(Error::Failed("this kernel has no tracepoint sock:sock_send_length (Linux 6.3 has it)".into()));
    }
    let mut loaded = load_with(loader, (name, sock_object()), options, filters, btf)?;
    let ebpf = &mut loaded.ebpf;
    attach_life(ebpf, options, btf)?;
    for tracepoint in ["sock_recv_length", "sock_send_length"] {
        attach_tracepoint(ebpf, tracepoint, btf)?;
    }
    Ok(loaded)
}

/// The calls by the program that notes their beginning; `leave` sees the end of each.
const CALLS: [(&str, &[&str]); 3] = [
    ("enter_three", &["read", "write", "readv", "writev", "sendmsg", "recvmsg"]),
    ("enter_four", &["sendto", "recvfrom", "sendmmsg", "recvmmsg", "sendfile64", "preadv2", "pwritev2"]),
    ("enter_splice", &["splice"]),
];

/// Calls of which the beginning is enough; a kernel may lack them.
const BEGINNINGS: [(&str, &str); 3] =
    [("enter_uring", "io_uring_enter"), ("enter_close", "close"), ("enter_shutdown", "shutdown")];

fn attach_tracepoints<'a>(
    options: &Options,
    filters: &'a Filters,
    btf: &'a Btf,
    loader: EbpfLoader<'a>,
) -> Result<Loaded, Error> {
    let mut loaded = load_with(loader, ("system call", tracepoints_object()), options, filters, btf)?;
    let ebpf = &mut loaded.ebpf;
    attach_life(ebpf, options, btf)?;
    for (program, _) in CALLS.iter().map(|(program, _)| (*program, "")).chain(BEGINNINGS).chain([("leave", "")]) {
        load_call_program(ebpf, program)?;
    }
    with_tracefs(|| {
        for (program, calls) in CALLS {
            for call in calls {
                attach_call(ebpf, "leave", &format!("sys_exit_{call}"))?;
                attach_call(ebpf, program, &format!("sys_enter_{call}"))?;
            }
        }
        for (program, call) in BEGINNINGS {
            match attach_call(ebpf, program, &format!("sys_enter_{call}")) {
                Err(error) if call != "io_uring_enter" => return Err(error),
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(loaded)
}

fn load_call_program<'a>(ebpf: &'a mut Ebpf, program: &str) -> Result<&'a mut TracePoint, Error> {
    let found = ebpf.program_mut(program).ok_or_else(|| missing(program))?;
    let found: &mut TracePoint = found.try_into().map_err(|error| failed("use", program, &error))?;
    found.load().map_err(|error| failed("load", program, &error))?;
    Ok(found)
}

fn attach_call(ebpf: &mut Ebpf, program: &str, tracepoint: &str) -> Result<(), Error> {
    let found = ebpf.program_mut(program).ok_or_else(|| missing(program))?;
    let found: &mut TracePoint = found.try_into().map_err(|error| failed("use", program, &error))?;
    found.attach("syscalls", tracepoint).map_err(|error| failed("attach", tracepoint, &error))?;
    Ok(())
}

/// Loads an object and tells it what is wanted.
fn load_with<'a>(
    loader: EbpfLoader<'a>,
    (name, object): (&str, &[u8]),
    options: &Options,
    filters: &'a Filters,
    btf: &'a Btf,
) -> Result<Loaded, Error> {
    let mut loaded = load_by(loader, name, object, Some(btf), options.ring_bytes, |loader| {
        filters.configure(loader);
        loader.map_max_entries(map::SOCKETS, options.sockets.max(1024));
    })?;
    filters.fill(&mut loaded.ebpf)?;
    Ok(loaded)
}

/// The programs that tell of the beginning and the end of sockets and of processes.
fn attach_life(ebpf: &mut Ebpf, options: &Options, btf: &Btf) -> Result<(), Error> {
    attach_tracepoint(ebpf, "inet_sock_set_state", btf)?;
    if options.follow {
        attach_tracepoint(ebpf, "sched_process_fork", btf)?;
    }
    if options.follow || !options.pids.is_empty() {
        attach_tracepoint(ebpf, "sched_process_exit", btf)?;
    }
    Ok(())
}

fn attach_tracepoint(ebpf: &mut Ebpf, tracepoint: &str, btf: &Btf) -> Result<(), Error> {
    load_tracepoint(ebpf, tracepoint, tracepoint, btf)?
        .attach()
        .map_err(|error| failed("attach", tracepoint, &error))?;
    Ok(())
}

fn load_tracepoint<'a>(
    ebpf: &'a mut Ebpf,
    program: &str,
    tracepoint: &str,
    btf: &Btf,
) -> Result<&'a mut BtfTracePoint, Error> {
    let found = ebpf.program_mut(program).ok_or_else(|| missing(program))?;
    let found: &mut BtfTracePoint = found.try_into().map_err(|error| failed("use", program, &error))?;
    found.load(tracepoint, btf).map_err(|error| failed("load", program, &error))?;
    Ok(found)
}

/// Makes the sockets that exist already known, and then says so to the programs.
fn walk_over_existing(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), String> {
    let walked = walk(ebpf, btf).map_err(|why| {
        format!("connections that existed before are known from their first call on: cannot list open files: {why}")
    });
    let settled = ebpf.map_mut(map::SETTLED).and_then(|map| Array::<_, u32>::try_from(map).ok());
    if walked.is_ok()
        && let Some(mut settled) = settled
    {
        settled.set(0, 1, 0).map_err(|error| chain(&error))?;
    }
    walked
}

fn walk(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), String> {
    let program = ebpf.program_mut("existing").ok_or("the object has no such program")?;
    let program: &mut Iter = program.try_into().map_err(|error: ProgramError| chain(&error))?;
    program.load("task_file", btf).map_err(|error| chain(&error))?;
    let link = program.attach().map_err(|error| chain(&error))?;
    let link = program.take_link(link).map_err(|error| chain(&error))?;
    let mut file = link.into_file().map_err(|error| chain(&error))?;
    // Reading is what drives the walk; it writes nothing.
    file.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    program.unload().map_err(|error| chain(&error))
}

fn missing(what: &str) -> Error {
    Error::Failed(format!("the committed eBPF object has no {what}: rebuild it with cargo xtask probes"))
}

fn failed(verb: &str, program: &str, error: &ProgramError) -> Error {
    Error::Failed(format!("cannot {verb} the kernel program {program}: {}{}", chain(error), advice(error)))
}
