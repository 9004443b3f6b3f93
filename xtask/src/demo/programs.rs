//! The programs that talk in the demo: two small servers and their clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Each program's name and its part, in the order of starting.
pub(crate) const PARTS: &[(&str, &str)] = &[
    ("shop-api", "api"),
    ("static-files", "files"),
    ("web-frontend", "frontend"),
    ("mobile-app", "mobile"),
    ("nightly-job", "job"),
];

const API: u16 = 8080;
const FILES: u16 = 8081;

/// Plays one part for so many milliseconds.
pub(crate) fn play(part: &str, milliseconds: &str) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().context("not a number of milliseconds")?);
    match part {
        "api" => serve(API, end, api),
        "files" => serve(FILES, end, files),
        "frontend" => frontend(end),
        "mobile" => mobile(end),
        "job" => job(end),
        _ => bail!("no part is called {part}"),
    }
}

/// What a server answers: status line, more header lines, body.
struct Answer {
    status: &'static str,
    headers: &'static str,
    body: Vec<u8>,
    chunked: bool,
}

fn answer(status: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: "Content-Type: application/json\r\n", body: body.into(), chunked: false }
}

fn api(method: &str, target: &str) -> Answer {
    match (method, target.split('?').next().unwrap_or_default()) {
        ("GET", "/items") => answer("200 OK", r#"[{"id":1,"name":"lamp"},{"id":2,"name":"chair"}]"#),
        ("GET", "/recommendations") => {
            sleep(Duration::from_millis(350));
            answer("200 OK", r#"[2,1]"#)
        }
        ("POST", "/orders") => answer("201 Created", r#"{"order":4711}"#),
        ("DELETE", _) => Answer { status: "204 No Content", headers: "", body: Vec::new(), chunked: false },
        ("GET", "/me") => answer("401 Unauthorized", r#"{"error":"log in first"}"#),
        ("GET", "/report") => answer("500 Internal Server Error", r#"{"error":"division by zero"}"#),
        ("GET", path) if path.starts_with("/items/") => answer("200 OK", r#"{"id":1,"name":"lamp","price":19.9}"#),
        _ => answer("404 Not Found", r#"{"error":"no such thing"}"#),
    }
}

fn files(_method: &str, target: &str) -> Answer {
    match target {
        "/logo.svg" => {
            Answer { status: "304 Not Modified", headers: "ETag: \"7\"\r\n", body: Vec::new(), chunked: false }
        }
        "/catalogue.bin" => {
            let body = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
            Answer { status: "200 OK", headers: "Content-Type: application/octet-stream\r\n", body, chunked: true }
        }
        _ => answer("200 OK", "body { color: black }"),
    }
}

/// Serves HTTP/1.1 on loopback until `end`, a thread a connection.
fn serve(port: u16, end: Instant, handler: fn(&str, &str) -> Answer) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).context("cannot listen")?;
    listener.set_nonblocking(true)?;
    while Instant::now() < end + Duration::from_millis(500) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                std::thread::spawn(move || converse(&stream, handler));
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
    Ok(())
}

/// Answers every request of a connection.
fn converse(stream: &TcpStream, handler: fn(&str, &str) -> Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
        let mut words = first.split(' ');
        let answer = handler(words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut head = format!("HTTP/1.1 {}\r\nServer: demo\r\n{}", answer.status, answer.headers).into_bytes();
        if answer.chunked {
            head.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            writer.write_all(&head)?;
            for chunk in answer.body.chunks(64 << 10) {
                writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                writer.write_all(chunk)?;
                writer.write_all(b"\r\n")?;
            }
            writer.write_all(b"0\r\n\r\n")?;
        } else {
            if !answer.status.starts_with("204") && !answer.status.starts_with("304") {
                head.extend(format!("Content-Length: {}\r\n", answer.body.len()).as_bytes());
            }
            head.extend(b"\r\n");
            head.extend(&answer.body);
            writer.write_all(&head)?;
        }
    }
}

/// A connection that asks and reads whatever comes back within a short time.
struct Asker(TcpStream);

impl Asker {
    fn connect(port: u16) -> anyhow::Result<Asker> {
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_read_timeout(Some(Duration::from_millis(60)))?;
                return Ok(Asker(stream));
            }
            sleep(Duration::from_millis(5));
        }
        bail!("no server came up on port {port}")
    }

    /// Sends, and reads until nothing comes for `patience`.
    fn ask(&mut self, request: &str, patience: Duration) -> anyhow::Result<()> {
        self.0.write_all(request.as_bytes())?;
        self.0.set_read_timeout(Some(patience))?;
        let mut buffer = [0; 64 << 10];
        while matches!(self.0.read(&mut buffer), Ok(length) if length > 0) {}
        Ok(())
    }
}

const SOON: Duration = Duration::from_millis(40);

fn request(method: &str, target: &str, host: &str, more: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}{more}\r\n{body}")
}

/// A page's worth of requests over keep-alive connections, again and again.
fn frontend(end: Instant) -> anyhow::Result<()> {
    let (mut api, mut files) = (Asker::connect(API)?, Asker::connect(FILES)?);
    let host = "api.shop.example";
    while Instant::now() < end {
        api.ask(&request("GET", "/items?page=1&sort=price", host, "Accept: application/json\r\n", ""), SOON)?;
        files.ask(&request("GET", "/style.css", "static.shop.example", "", ""), SOON)?;
        files.ask(&request("GET", "/logo.svg", "static.shop.example", "If-None-Match: \"7\"\r\n", ""), SOON)?;
        api.ask(
            &request("POST", "/orders", host, "Authorization: Bearer not-for-your-eyes\r\n", r#"{"item":2,"count":1}"#),
            SOON,
        )?;
        api.ask(&request("GET", "/recommendations", host, "", ""), Duration::from_millis(450))?;
        sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// Pipelines five requests in one write, and asks for what is not there.
fn mobile(end: Instant) -> anyhow::Result<()> {
    let mut api = Asker::connect(API)?;
    while Instant::now() < end {
        let pipelined: String =
            (1..=5).map(|item| request("GET", &format!("/items/{item}"), "m.shop.example", "", "")).collect();
        api.ask(&pipelined, SOON)?;
        api.ask(&request("GET", "/me", "m.shop.example", "Cookie: session=secret\r\n", ""), SOON)?;
        api.ask(&request("DELETE", "/basket/9", "m.shop.example", "", ""), SOON)?;
        sleep(Duration::from_millis(900));
    }
    Ok(())
}

/// Downloads a megabyte, and asks for a report that fails, each on a connection of its own.
fn job(end: Instant) -> anyhow::Result<()> {
    while Instant::now() < end {
        sleep(Duration::from_millis(600));
        let download = request("GET", "/catalogue.bin", "static.shop.example", "", "");
        Asker::connect(FILES)?.ask(&download, Duration::from_millis(700))?;
        Asker::connect(API)?.ask(&request("GET", "/report", "api.shop.example", "", ""), SOON)?;
        Asker::connect(API)?.ask(&request("GET", "/nothing-here", "api.shop.example", "", ""), SOON)?;
    }
    Ok(())
}
