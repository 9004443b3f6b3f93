//! HTTP/2, gRPC, WebSocket, MQTT, AMQP and SMTP with servers and clients that nobody here wrote: each client
//! prints what must be told of it, row by row, and every source must tell that and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use l7trace_testkit::netns::{Running, TestNamespace};
use l7trace_testkit::skip;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::check::{Report, ended_well};
use crate::tracer::{MODES, Mode, Traced, Tracer};

/// The one that Debian's packages of Python modules are for.
const PYTHON: &str = "/usr/bin/python3";

/// Where the clients in JavaScript are, with what they need.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/messaging/node");

/// What must not stand in any line.
const SECRET: &str = "never-shown-7";

/// How often each row is told, as a JSON list: operation, resource, status.
type Rows = BTreeMap<String, u64>;

/// Runs a client in Python under every source at once, and holds what they tell against what it printed.
fn check(namespace: &TestNamespace, protocol: &str, script: &str) {
    check_client(namespace, protocol, PYTHON, &["-c", script]);
}

/// The same with a client in JavaScript, of those in the folder `messaging/node`.
fn check_node(namespace: &TestNamespace, protocol: &str, modules: &Path, script: &str) {
    let path = format!("NODE_PATH={}", modules.display());
    let script = format!("{NODE}/{script}");
    check_client(namespace, protocol, "env", &[&path, "node", &script]);
}

fn check_client(namespace: &TestNamespace, protocol: &str, program: &str, words: &[&str]) {
    let tracers: Vec<(&Mode, Tracer)> =
        MODES.iter().map(|mode| (mode, Tracer::start(namespace, mode, &["--protocol", protocol]))).collect();
    let output = namespace.output(program, words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the client failed: {said}");
    let mut expected = Rows::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).expect("the client prints JSON");
        *expected.entry(row.to_string()).or_default() += 1;
    }
    assert!(!expected.is_empty(), "the client printed nothing");
    for (mode, traced) in tracers.into_iter().map(|(mode, tracer)| (mode, tracer.stop())) {
        let mut report = Report::new(&format!("{protocol} by {}", mode.name));
        ended_well(&mut report, &traced);
        compare(&mut report, &expected, &rows(&traced, protocol));
        if traced.lines.iter().any(|line| line.to_string().contains(SECRET)) {
            report.wrong("a password is shown");
        }
        report.finish();
    }
}

fn rows(traced: &Traced, protocol: &str) -> Rows {
    let mut rows = Rows::new();
    let told = |line: &&Value| line["protocol"] == protocol && line["type"] != "connection";
    for line in traced.lines.iter().filter(told) {
        let row = Value::from(["operation", "resource", "status"].map(|name| line[name].clone()).to_vec());
        *rows.entry(row.to_string()).or_default() += 1;
    }
    rows
}

fn compare(report: &mut Report, expected: &Rows, told: &Rows) {
    let all: BTreeMap<&String, ()> = expected.keys().chain(told.keys()).map(|row| (row, ())).collect();
    for row in all.into_keys() {
        let count = |rows: &Rows| rows.get(row).copied().unwrap_or(0);
        report.equal(row, count(told), count(expected));
    }
}

/// Whether everything is there; says what is not.
fn has(programs: &[&str], modules: &[&str]) -> bool {
    let lacks_module = |module: &&&str| {
        let import = format!("import {module}");
        let tried = Command::new(PYTHON).args(["-c", &import]).stderr(Stdio::null()).status();
        !tried.is_ok_and(|status| status.success())
    };
    let missing = programs.iter().find(|program| !skip::has_program(program));
    let missing = missing.or_else(|| modules.iter().find(lacks_module));
    if let Some(missing) = missing {
        skip::skip(thread::current().name().unwrap_or("a test"), &format!("needs {missing}"));
    }
    missing.is_none()
}

/// The modules that the clients in JavaScript need, fetched once; says where they cannot be had.
fn node_modules() -> Option<PathBuf> {
    static FETCHED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if !has(&["node", "npm"], &[]) {
        return None;
    }
    let fetched = FETCHED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
        let copied = fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(format!("{NODE}/package.json"), folder.join("package.json")));
        copied.map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
        let options =
            ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
        let output = Command::new("npm").args(options).current_dir(&folder).output();
        let output = output.map_err(|error| format!("npm cannot be started: {error}"))?;
        match output.status.success() {
            true => Ok(folder.join("node_modules")),
            false => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()),
        }
    });
    match fetched {
        Ok(folder) => Some(folder.clone()),
        Err(error) => {
            let reason = format!("needs the modules of messaging/node/package.json: {error}");
            skip::skip(thread::current().name().unwrap_or("a test"), &reason);
            None
        }
    }
}

fn listens(namespace: &TestNamespace, port: u16, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if namespace.run(|| TcpStream::connect(("127.0.0.1", port)).is_ok()) {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn of(namespace: &TestNamespace) -> Folder {
        let path = std::env::temp_dir().join(namespace.name());
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn mqtt_through_mosquitto() {
    if !has(&["python3", "mosquitto"], &["paho.mqtt.client"]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    let folder = Folder::of(&namespace);
    let configuration = folder.0.join("mosquitto.conf");
    let text = "allow_anonymous true\nuser root\nmax_queued_messages 20000\nmax_inflight_messages 1000\n\
                listener 1883\nlistener 9001\nprotocol websockets\n";
    fs::write(&configuration, text).expect("it can be written");
    let _broker = namespace.start("mosquitto", &["-c", &configuration.display().to_string()]);
    assert!(listens(&namespace, 1883, Duration::from_secs(20)), "mosquitto does not listen");
    check(&namespace, "mqtt", include_str!("messaging/mqtt.py"));
    if let Some(modules) = node_modules() {
        check_node(&namespace, "mqtt", &modules, "mqtt.js");
    }
}

/// RabbitMQ with everything it keeps in a folder of the test's.
struct RabbitMq {
    child: Child,
    process: PathBuf,
}

impl RabbitMq {
    fn start(namespace: &TestNamespace, program: &Path, folder: &Path) -> RabbitMq {
        let path = |name: &str| folder.join(name).display().to_string();
        fs::write(path("rabbitmq.conf"), "listeners.tcp.1 = 127.0.0.1:5672\n").expect("it can be written");
        fs::write(path("plugins"), "[rabbitmq_amqp1_0].").expect("it can be written");
        fs::write(path("environment"), "").expect("it can be written");
        let mut command = namespace.command(&program.display().to_string());
        command.env("HOME", folder).env("RABBITMQ_NODENAME", "test@localhost").env("ERL_EPMD_ADDRESS", "127.0.0.1");
        for (name, file) in [
            ("MNESIA_BASE", "mnesia"),
            ("LOG_BASE", "log"),
            ("PID_FILE", "pid"),
            ("CONFIG_FILE", "rabbitmq.conf"),
            ("CONF_ENV_FILE", "environment"),
            ("ENABLED_PLUGINS_FILE", "plugins"),
        ] {
            command.env(format!("RABBITMQ_{name}"), path(file));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        RabbitMq { child: command.spawn().expect("rabbitmq-server can be started"), process: folder.join("pid") }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The script that was started leaves the virtual machine behind.
        let id = fs::read_to_string(&self.process).ok().and_then(|id| id.trim().parse().ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process(id, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program itself: what stands in the path changes the user first.
fn rabbitmq_server() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("sbin/rabbitmq-server")));
    programs.filter(|program| program.is_file()).max()
}

#[test]
fn amqp_through_rabbitmq() {
    if !has(&["python3", "epmd"], &["pika"]) {
        return;
    }
    let Some(program) = rabbitmq_server() else {
        return skip::skip("amqp_through_rabbitmq", "needs rabbitmq-server");
    };
    let Some(namespace) = TestNamespace::create() else { return };
    let folder = Folder::of(&namespace);
    // In the foreground, so that it ends with the test: the broker would start one for good.
    let _names = namespace.start("epmd", &["-address", "127.0.0.1"]);
    assert!(listens(&namespace, 4369, Duration::from_secs(20)), "epmd does not listen");
    let _broker = RabbitMq::start(&namespace, &program, &folder.0);
    assert!(listens(&namespace, 5672, Duration::from_secs(60)), "RabbitMQ does not listen");
    check(&namespace, "amqp", include_str!("messaging/amqp.py"));
    if let Some(modules) = node_modules() {
        check_node(&namespace, "amqp", &modules, "amqp.js");
    }
    if has(&[], &["proton"]) {
        check(&namespace, "amqp", include_str!("messaging/amqp_1_0.py"));
    }
}

#[test]
fn smtp_with_aiosmtpd() {
    if !has(&["python3"], &["aiosmtpd"]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check(&namespace, "smtp", include_str!("messaging/smtp.py"));
}

#[test]
fn smtp_through_postfix() {
    if !has(&["python3", "postfix", "openssl"], &[]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check(&namespace, "smtp", include_str!("messaging/postfix.py"));
}

#[test]
fn grpc_with_grpcio() {
    if !has(&["python3"], &["grpc"]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check(&namespace, "grpc", include_str!("messaging/rpc.py"));
}

#[test]
fn grpc_with_go() {
    if !has(&["go"], &[]) {
        return;
    }
    let client = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rpc-go");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/messaging/go");
    let built = Command::new("go").args(["build", "-o"]).arg(&client).arg(".").current_dir(source).output();
    let built = built.expect("go can be started");
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        let reason = format!("needs the modules of messaging/go/go.mod: {}", said.lines().next().unwrap_or_default());
        return skip::skip("grpc_with_go", &reason);
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check_client(&namespace, "grpc", &client.display().to_string(), &[]);
}

/// What a channel's headers said before tracing is unknown, what they say anew is known, and nothing is guessed.
#[test]
fn grpc_on_a_channel_older_than_the_tracer() {
    if !has(&["python3"], &["grpc"]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    let mut command = namespace.command(PYTHON);
    command.args(["-c", include_str!("messaging/rpc_late.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut party = Running(command.stderr(Stdio::null()).spawn().expect("python3 can be started"));
    let mut ready = String::new();
    let said = BufReader::new(party.0.stdout.take().expect("it has a pipe")).read_line(&mut ready);
    assert!(said.is_ok_and(|length| length > 0), "the client failed");
    let tracers: Vec<(&Mode, Tracer)> =
        MODES.iter().map(|mode| (mode, Tracer::start(&namespace, mode, &["--protocol", "grpc"]))).collect();
    let told_to = party.0.stdin.take().expect("it has a pipe").write_all(b"go\n");
    assert!(told_to.is_ok() && party.0.wait().expect("it can be waited for").success(), "the client failed");
    for (mode, traced) in tracers.into_iter().map(|(mode, tracer)| (mode, tracer.stop())) {
        let mut report = Report::new(mode.name);
        ended_well(&mut report, &traced);
        let calls = |resource: &Value, word: &str| {
            let said = Value::from([Value::from("said"), Value::from(word)].to_vec());
            let unknown = Value::from("unknown: table entry from before tracing");
            let has = |list: &Value, item: &Value| list.as_array().is_some_and(|list| list.contains(item));
            let fits = |line: &&Value| {
                line["resource"] == *resource
                    && has(&line["request"]["headers"], &said)
                    && has(&line["request"]["notes"], &unknown)
            };
            traced.exchanges().filter(fits).count()
        };
        report.equal("calls whose path is unknown", calls(&Value::Null, "before"), 5);
        report.equal("calls whose path is known", calls(&Value::from("/test.Every/New"), "after"), 5);
        report.equal("calls in all", traced.exchanges().count(), 10);
        report.finish();
    }
}

#[test]
fn websocket_with_websockets() {
    if !has(&["python3"], &["websockets"]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check(&namespace, "websocket", include_str!("messaging/websocket.py"));
}

#[test]
fn websocket_with_ws() {
    let Some(modules) = node_modules() else { return };
    let Some(namespace) = TestNamespace::create() else { return };
    check_node(&namespace, "websocket", &modules, "websocket.js");
}

#[test]
fn http2_with_node() {
    if !has(&["node"], &[]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    check_node(&namespace, "http2", Path::new(""), "http2.js");
}

/// Through a proxy, which speaks HTTP/2 with the server behind it from the start.
#[test]
fn http2_upgraded_by_java() {
    if !has(&["java", "nghttpx", "nghttpd"], &[]) {
        return;
    }
    let Some(namespace) = TestNamespace::create() else { return };
    let folder = Folder::of(&namespace);
    for name in ["first", "0", "1", "2", "3", "4"] {
        fs::write(folder.0.join(name), name.repeat(1_000)).expect("it can be written");
    }
    let _server = namespace.start("nghttpd", &["--no-tls", "-d", &folder.0.display().to_string(), "7002"]);
    let _proxy = namespace.start("nghttpx", &["-f127.0.0.1,7001;no-tls", "-b127.0.0.1,7002;;proto=h2", "--workers=1"]);
    for port in [7002, 7001] {
        assert!(listens(&namespace, port, Duration::from_secs(20)), "nothing listens at port {port}");
    }
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/messaging/Upgrades.java");
    check_client(&namespace, "http2", "java", &[client, "7001"]);
}
