use std::collections::HashSet;

use l7trace_event::Direction;
use l7trace_protocol::{End, Role, Settings, by_name};

use crate::script::{Chop, Heard, Random, Step, lines, run};

/// Reads `data` as what two sides of a connection say and gives it to the parser of HTTP/1, whole
/// and cut: the same must come of it. Beside that no panic, no key used twice, no response before
/// its request, and no more held than the limits allow.
///
/// After a byte of settings come steps, each of a byte that says what (and whose) it is, a length,
/// and so many bytes.
///
/// # Panics
/// Where one of these does not hold.
pub fn http1(data: &[u8]) {
    let Some((settings_byte, mut rest)) = data.split_first() else { return };
    let settings = Settings {
        body_limit: [0, 5, 1000, 100_000][usize::from(settings_byte & 3)],
        head_limit: if settings_byte & 4 == 0 { 4096 } else { 100 },
        ..Settings::default()
    };
    let from_start = settings_byte & 8 == 0;
    let mut script = Vec::new();
    while let [what, length, bytes @ ..] = rest {
        let direction = if what & 1 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let (bytes, after) = bytes.split_at(bytes.len().min(usize::from(*length)));
        rest = after;
        match what >> 1 & 15 {
            0 => script.push(Step::Gap(direction, u64::from(*length) + 1)),
            1 => script.push(Step::End(direction, [End::Closed, End::Reset, End::Unknown][usize::from(length % 3)])),
            _ => {}
        }
        if !bytes.is_empty() {
            script.push(Step::Bytes(direction, bytes.to_vec()));
        }
    }
    let Some(protocol) = by_name("http1") else { return };
    let whole = run(protocol, &settings, from_start, &script, Chop::Whole);
    check(&whole, data.len());
    for chop in [Chop::Bytewise, Chop::Random(u64::from(*settings_byte))] {
        let cut = run(protocol, &settings, from_start, &script, chop);
        assert_eq!(lines(&whole), lines(&cut), "{chop:?} of {script:?}");
    }
}

/// Like [`http1`], with bytes made at random of what HTTP/1 is made of.
pub fn http1_at_random(seed: u64) {
    const PIECES: [&[u8]; 48] = [
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.0\r\n",
        b"HEAD / HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"GET /old\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 100 Continue\r\n",
        b"HTTP/1.1 101 Switch\r\n",
        b"HTTP/1.0 404 x\n",
        b"http/1.1 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: x\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Connection: Upgrade\r\n",
        b"Upgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"Host: a\r\n",
        b" folded\r\n",
        b"no colon\r\n",
        b"X : y\r\n",
        b"hello",
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b"zz\r\n",
        b"ffffffffffffffff\r\n",
        b"3;a=b\r\nabc\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1",
        b"GET ",
        b" HTTP/1.1",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"Cookie: z\r\n",
        b"\xff\xfe",
        b"HT",
        b"PUT",
    ];
    let mut random = Random::new(seed);
    let mut data = vec![random.number() as u8];
    for _ in 0..1 + random.below(12) {
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(6) {
            bytes.extend_from_slice(PIECES[random.below(PIECES.len() as u64) as usize]);
        }
        if random.below(8) == 0 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.number() as u8;
        }
        bytes.truncate(255);
        // Mostly plain bytes; now and then a gap or an end before them.
        let what = if random.below(6) == 0 { random.below(4) as u8 } else { 4 | random.below(2) as u8 };
        data.extend([what, bytes.len() as u8]);
        data.append(&mut bytes);
    }
    http1(&data);
}

fn check(heard: &Heard, length: usize) {
    let mut asked = HashSet::new();
    let mut answered = HashSet::new();
    for message in &heard.messages {
        match message.role {
            Role::Request => {
                assert!(!answered.contains(&message.key), "a response before its request");
                assert!(asked.insert(message.key), "a request's key twice");
            }
            Role::Response => assert!(answered.insert(message.key), "a response's key twice"),
            _ => {}
        }
        assert!(message.first.position <= message.last.position);
    }
    assert!(heard.messages.len() <= length, "more messages than bytes");
    // Bodies on trial count for more than their bytes.
    assert!(heard.most_held <= 200_000 + length * 600, "{} held of {length}", heard.most_held);
}
