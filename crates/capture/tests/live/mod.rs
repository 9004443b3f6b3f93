//! What the live tests share: a network namespace of their own, programs compiled on the spot, and a
//! tracer whose events are kept.

#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use l7trace_capture::kernel::NetworkNamespace;
use l7trace_capture::syscalls::{self, Engine, Options};
use l7trace_capture::{Batch, Filled};
use l7trace_event::{Blind, Cause, Event, Flags, Process, Tuple, What};

/// Whether live tests can run here; says loudly why not.
pub fn possible(test: &str) -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    let kernel = Path::new("/sys/kernel/btf/vmlinux").exists();
    let compiler = if programs().is_some() { None } else { Some("gcc") };
    let mut tools = ["ip", "nsenter"].into_iter().chain(compiler);
    let tools = tools.all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if root && kernel && tools {
        return true;
    }
    let needs = format!("it needs root ({root}), /sys/kernel/btf/vmlinux ({kernel}), ip, nsenter and gcc ({tools})");
    l7trace_testkit::skip::skip(test, &needs);
    false
}

/// Whether this kernel has what an engine needs; says loudly where it has not.
pub fn has(engine: Engine, test: &str) -> bool {
    const NEEDED: &[u8] = b"btf_trace_sock_send_length\0";
    let types = || fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
    if engine != Engine::Sock || types().windows(NEEDED.len()).any(|window| window == NEEDED) {
        return true;
    }
    l7trace_testkit::skip::skip(test, "this kernel has no sock:sock_send_length (Linux 6.3 has it)");
    false
}

/// The engines that this kernel has.
pub fn engines(test: &str) -> Vec<Engine> {
    [Engine::Sock, Engine::Tracepoints].into_iter().filter(|engine| has(*engine, test)).collect()
}

/// A network namespace with loopback, removed in the end.
pub struct TestNamespace {
    pub name: String,
}

impl TestNamespace {
    pub fn new(name: &str) -> TestNamespace {
        let name = format!("l7-syscalls-{name}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = TestNamespace { name };
        run(&mut namespace.command("ip", &["link", "set", "lo", "up"]));
        namespace
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that runs in the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program).args(arguments);
        command
    }

    /// The filter that lets this namespace through alone, each end for itself.
    pub fn options(&self) -> Options {
        let namespaces = vec![NetworkNamespace::Path(self.path())];
        Options { namespaces, each_end: true, ..Options::default() }
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// A child that is killed in the end.
pub struct Running(pub Child);

impl Running {
    pub fn new(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder where the testkit's programs are, compiled already: a virtual machine has no compiler.
fn programs() -> Option<PathBuf> {
    std::env::var_os("L7TRACE_PROGRAMS").map(PathBuf::from)
}

/// Compiles a program of the testkit.
pub fn compiled(name: &str) -> PathBuf {
    if let Some(folder) = programs() {
        return folder.join(name);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/programs").join(name).with_extension("c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    // Tests of one process share the program: it is built once, and not while another runs it.
    static BUILT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(&program) {
        run(Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(&source));
        built.push(program.clone());
    }
    program
}

/// An event, kept.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: u64,
    pub place: u32,
    pub tuple: Tuple,
    pub what: SeenWhat,
}

#[derive(Clone, Debug)]
pub enum SeenWhat {
    Segment {
        position: u32,
        bytes: Vec<u8>,
        missing: u32,
        cause: Option<Cause>,
        acknowledged: Option<u32>,
        flags: Flags,
    },
    Owner(Arc<Process>),
    Name(Arc<str>),
    Exists,
    RingFull {
        records: u64,
        bytes: u64,
    },
}

impl Seen {
    fn new(event: &Event<'_>) -> Seen {
        let what = match &event.what {
            What::Segment(segment) => SeenWhat::Segment {
                position: segment.position,
                bytes: segment.bytes.to_vec(),
                missing: segment.missing,
                cause: segment.cause,
                acknowledged: segment.acknowledged,
                flags: segment.flags,
            },
            What::Owner(process) => SeenWhat::Owner(Arc::clone(process)),
            What::Name(name) => SeenWhat::Name(Arc::clone(name)),
            What::Exists => SeenWhat::Exists,
            What::RingFull { records, bytes } => SeenWhat::RingFull { records: *records, bytes: *bytes },
        };
        Seen { at: event.at.0, place: event.witness.place, tuple: event.tuple, what }
    }
}

/// What a tracer saw.
#[derive(Default)]
pub struct Trace {
    pub events: Vec<Seen>,
    pub blind: Vec<Blind>,
    pub not_understood: Vec<(String, u64)>,
    pub warnings: Vec<String>,
}

/// A tracer in a thread of its own.
pub struct Tracer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Trace>,
    pub description: String,
    pub control: syscalls::Control,
}

impl Tracer {
    pub fn start(options: &Options) -> Tracer {
        let (mut source, control) = syscalls::open_with_control(options).unwrap_or_else(|error| panic!("{error}"));
        let stop = Arc::new(AtomicBool::new(false));
        let description = source.description.clone();
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut trace = Trace::default();
            let mut batch = Batch::default();
            loop {
                let last = told.load(Ordering::Acquire);
                batch.bytes.clear();
                let filled = source.tap.fill(&mut batch, Duration::from_millis(50)).expect("the ring can be read");
                source.decoder.decode(&batch, &mut |event| trace.events.push(Seen::new(event)));
                trace.blind.extend(source.decoder.blind());
                trace.warnings.extend(source.decoder.warnings());
                if last && filled == Filled::Nothing {
                    trace.not_understood = source.decoder.not_understood();
                    return trace;
                }
            }
        });
        Tracer { stop, thread, description, control }
    }

    /// Ends it, when everything that was in the ring has been taken out.
    pub fn stop(self) -> Trace {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the tracer's thread ends well")
    }
}

/// Waits until `done`, for ten seconds at most.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
