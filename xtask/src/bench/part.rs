//! The programs that the bench runs inside its namespace: copies of this one.
//! `xtask bench-part NAME ARGUMENTS…`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

mod feed;
mod hold;
mod pace;

/// Plays a part.
pub(crate) fn play(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    match (name, arguments) {
        ("get", [address, path]) => {
            print!("{}", get(address, path)?);
            Ok(())
        }
        ("ask", [address, path]) => ask(address, path),
        ("hold", [addresses, path, connections]) => hold::play(addresses, path, connections.parse()?),
        ("pace", [kind, address, path, connections, rate, seconds]) => {
            let pace = pace::Pace { connections: connections.parse()?, rate: rate.parse()?, seconds: seconds.parse()? };
            pace::play(kind, address, path, &pace)
        }
        ("feed", [bytes]) => feed::play(bytes.parse()?),
        _ => bail!("no such part"),
    }
}

/// Gets a path; the response's body.
fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (_, body) = response.split_once("\r\n\r\n").context("no response")?;
    Ok(body.to_owned())
}

/// Gets a path and prints when the response's last byte was there, in nanoseconds since 1970.
fn ask(address: &str, path: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request(path).as_bytes())?;
    response_length(&mut stream)?;
    println!("{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
    Ok(())
}

/// A request on a connection that stays.
fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")
}

/// Reads a response to its end; how long it was.
fn response_length(stream: &mut TcpStream) -> anyhow::Result<usize> {
    let mut response = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        response.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&response);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).context("no Content-Length")?;
        let length = head.len() + 4 + length.trim().parse::<usize>()?;
        if response.len() >= length {
            return Ok(length);
        }
    }
}
