//! The servers that are asked: nginx for HTTP, mosquitto for MQTT.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};

use super::process::{self, Running};
use super::stage::Stage;
use super::stop;

/// HTTP/1.
pub(crate) const HTTP1: &str = "127.0.0.1:8080";
/// HTTP/2 without TLS.
pub(crate) const HTTP2: &str = "127.0.0.1:8081";
/// MQTT.
pub(crate) const MQTT: &str = "127.0.0.1:1883";

/// nginx, serving files of several sizes.
pub(crate) struct Nginx {
    _running: Running,
}

impl Nginx {
    /// Starts it with so many workers, each of which takes so many connections.
    pub(crate) fn start(stage: &Stage, workers: usize, connections: u64) -> anyhow::Result<Nginx> {
        let folder = stage.folder().join("nginx");
        fs::create_dir_all(folder.join("www"))?;
        for (name, size) in [("1k", 1 << 10), ("100k", 100 << 10), ("10m", 10 << 20)] {
            fs::write(folder.join("www").join(name), "x".repeat(size))?;
        }
        // Who serves files without `sendfile`, nginx's own default, moves every byte through two
        // system calls: the hardest case for a tracer.
        let configuration = format!(
            "worker_processes {workers}; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n\
             worker_rlimit_nofile {files};\n\
             events {{ worker_connections {connections}; }}\n\
             http {{\n\
             access_log off; keepalive_requests 1000000000; keepalive_timeout 600;\n\
             client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;\n\
             uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;\n\
             server {{ listen 8080 backlog=65535 reuseport; listen 8081 http2; root {folder}/www;\n\
             location = /status {{ stub_status; }} }}\n\
             }}\n",
            folder = folder.display(),
            files = connections + 100,
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration)?;
        let running =
            Running::start(stage.inside("nginx").arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file))?;
        let nginx = Nginx { _running: running };
        let ready = stop::until(Duration::from_secs(5), || Ok(requests(stage).ok()))?;
        if ready.is_none() {
            bail!("nginx does not answer: {}", fs::read_to_string(folder.join("error.log")).unwrap_or_default());
        }
        Ok(nginx)
    }
}

/// How many requests nginx has taken until now, this question included.
pub(crate) fn requests(stage: &Stage) -> anyhow::Result<u64> {
    let status = process::output(stage.part("get")?.args([HTTP1, "/status"]), Duration::from_secs(5))?;
    let line = status.lines().nth(2).and_then(|line| line.split_whitespace().nth(2));
    line.and_then(|number| number.parse().ok()).with_context(|| format!("nginx's status is not understood: {status}"))
}

/// Starts mosquitto.
pub(crate) fn mosquitto(stage: &Stage) -> anyhow::Result<Running> {
    let file = stage.folder().join("mosquitto.conf");
    fs::write(
        &file,
        "listener 1883 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\nset_tcp_nodelay true\n",
    )?;
    let running = Running::start(stage.inside("mosquitto").arg("-c").arg(&file))?;
    let ready = stop::until(Duration::from_secs(5), || {
        let asked =
            process::output(stage.part("pace")?.args(["mqtt", MQTT, "bench", "1", "0", "0"]), Duration::from_secs(5));
        Ok(asked.ok())
    })?;
    ready.context("mosquitto does not answer")?;
    Ok(running)
}
