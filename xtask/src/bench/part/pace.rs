//! A load generator that asks at a given rate, whatever comes back: what a request waits for a free
//! connection counts as its latency, as it would for a client.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{Timespec, epoll};
use serde_json::json;

/// How much is asked.
pub(super) struct Pace {
    /// Connections that stay.
    pub(super) connections: usize,
    /// Requests a second over all of them; 0: each asks again as soon as it is answered.
    pub(super) rate: f64,
    /// For how long.
    pub(super) seconds: f64,
}

/// What is said on a connection.
struct Script {
    /// The first thing, and how long its answer is.
    greeting: (Vec<u8>, usize),
    request: Vec<u8>,
    /// The length of the answer; unknown until one was seen.
    answer: Option<usize>,
}

/// Asks for `seconds`, waits a second at most for what is still due, and prints what came of it.
pub(super) fn play(kind: &str, address: &str, path: &str, pace: &Pace) -> anyhow::Result<()> {
    // What sleeps until a request is due shall not oversleep by the usual 50 µs.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut generator = Generator::connect(kind, address, path, pace.connections)?;
    generator.run(pace)?;
    let mut latencies = generator.latencies;
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    let result = json!({
        "asked": generator.asked,
        "done": generator.done,
        "seconds": generator.took.as_secs_f64(),
        "paced": latencies.len(),
        "p50_ns": at(0.5),
        "p99_ns": at(0.99),
    });
    println!("{result}");
    Ok(())
}

struct Generator {
    request: Vec<u8>,
    answer: usize,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    /// Everything asked and answered, what was asked to learn the answer's length included.
    asked: u64,
    done: u64,
    latencies: Vec<u64>,
    took: Duration,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that are still to come.
    left: usize,
    due: Instant,
}

impl Generator {
    fn connect(kind: &str, address: &str, path: &str, connections: usize) -> anyhow::Result<Generator> {
        let begun = Instant::now();
        let (mut asked, mut answer, mut request) = (0, None, Vec::new());
        let mut open = Vec::with_capacity(connections);
        for number in 0..connections {
            let mut script = script(kind, path, number)?;
            let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
            stream.set_nodelay(true)?;
            stream.write_all(&script.greeting.0)?;
            stream.read_exact(&mut vec![0; script.greeting.1])?;
            answer = answer.or(script.answer);
            if answer.is_none() {
                stream.write_all(&script.request)?;
                answer = Some(super::response_length(&mut stream)?);
                asked += 1;
            }
            request = std::mem::take(&mut script.request);
            stream.set_nonblocking(true)?;
            open.push(Connection { stream, left: 0, due: begun });
        }
        Ok(Generator {
            request,
            answer: answer.context("no connections")?,
            idle: (0..connections).collect(),
            connections: open,
            asked,
            done: asked,
            latencies: Vec::new(),
            took: Duration::ZERO,
        })
    }

    fn run(&mut self, pace: &Pace) -> anyhow::Result<()> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, connection) in self.connections.iter().enumerate() {
            epoll::add(&epoll, &connection.stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        }
        let interval = Duration::from_secs_f64(if pace.rate > 0.0 { 1.0 / pace.rate } else { 0.0 });
        let begun = Instant::now();
        let last = begun + Duration::from_secs_f64(pace.seconds);
        let give_up = last + Duration::from_secs(1);
        let mut due = begun;
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            let mut now = Instant::now();
            while due < last && due <= now && now < last {
                let Some(number) = self.idle.pop_front() else { break };
                self.ask(number, if interval.is_zero() { now } else { due })?;
                due += interval;
                now = Instant::now();
            }
            // What was due and found no connection in time was not asked.
            let asking = now < last && due < last;
            if now > give_up || !asking && self.idle.len() == self.connections.len() {
                break;
            }
            let wake = if asking && !self.idle.is_empty() {
                due.min(last)
            } else {
                give_up.min(now + Duration::from_millis(20))
            };
            let wait = wake.saturating_duration_since(now);
            let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) };
            events.clear();
            match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.take(event.data.u64() as usize)?;
            }
        }
        self.took = begun.elapsed().min(Duration::from_secs_f64(pace.seconds));
        Ok(())
    }

    fn ask(&mut self, number: usize, due: Instant) -> anyhow::Result<()> {
        let connection = &mut self.connections[number];
        // A request is far smaller than an empty send buffer.
        connection.stream.write_all(&self.request)?;
        connection.left = self.answer;
        connection.due = due;
        self.asked += 1;
        Ok(())
    }

    fn take(&mut self, number: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[number];
        let mut chunk = [0; 65536];
        match connection.stream.read(&mut chunk) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => {
                connection.left = connection.left.checked_sub(count).context("more came than was asked for")?
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if connection.left == 0 {
            self.latencies.push(connection.due.elapsed().as_nanos() as u64);
            self.done += 1;
            self.idle.push_back(number);
        }
        Ok(())
    }
}

fn script(kind: &str, path: &str, number: usize) -> anyhow::Result<Script> {
    match kind {
        "http1" => Ok(Script { greeting: (Vec::new(), 0), request: super::request(path).into_bytes(), answer: None }),
        // QoS 1: the packet id may be used again once its PUBACK (4 bytes) is there.
        "mqtt" => Ok(Script { greeting: (mqtt_connect(number), 4), request: mqtt_publish(path), answer: Some(4) }),
        other => bail!("{other} is not spoken here"),
    }
}

/// MQTT 3.1.1, section 3.1: a clean session without a keep-alive.
fn mqtt_connect(number: usize) -> Vec<u8> {
    let client = format!("bench-{number}");
    let mut packet = vec![0x10, (12 + client.len()) as u8, 0, 4];
    packet.extend_from_slice(b"MQTT\x04\x02\x00\x00\x00");
    packet.push(client.len() as u8);
    packet.extend_from_slice(client.as_bytes());
    packet
}

/// MQTT 3.1.1, section 3.3: 60 bytes at QoS 1.
fn mqtt_publish(topic: &str) -> Vec<u8> {
    let payload = [b'x'; 60];
    let mut packet = vec![0x32, (2 + topic.len() + 2 + payload.len()) as u8, 0, topic.len() as u8];
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(&payload);
    packet
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers every line of its own accord with 200 bytes.
    fn serve(listener: TcpListener) {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{}", "x".repeat(200));
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    }

    #[test]
    fn the_rate_is_what_was_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || serve(listener));
        let mut generator = Generator::connect("http1", &address, "/", 4).unwrap();
        generator.run(&Pace { connections: 4, rate: 500.0, seconds: 0.4 }).unwrap();
        // One more was asked to learn how long an answer is.
        assert_eq!(generator.asked, 201);
        assert_eq!(generator.done, 201);
        assert_eq!(generator.latencies.len(), 200);
    }

    #[test]
    fn mqtt_packets_are_as_long_as_they_say() {
        for packet in [mqtt_connect(7), mqtt_connect(1000), mqtt_publish("bench/1")] {
            assert_eq!(usize::from(packet[1]) + 2, packet.len());
        }
    }
}
