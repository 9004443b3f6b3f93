use l7trace_event::Direction;
use l7trace_protocol::{End, Handshake, Message, Role, Settings, by_name};

use crate::script::{Chop, Random, Step, lines, run, run_switched};

/// Makes frames of both ends out of `data`, mostly well-formed, some compressed (or said to be), with
/// holes, and gives them to the parser of WebSocket. Beside that it does not panic: no more is held
/// than the limits allow, and without holes the same comes of them however they are cut.
///
/// # Panics
/// Where one of these does not hold.
pub fn websocket(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else { return };
    let Some(protocol) = by_name("websocket") else { panic!("websocket is not in the registry") };
    let settings = Settings { body_limit: usize::from(options & 3) * 32, ..Settings::default() };
    let mut random = Random::new(u64::from(options));
    let mut script = Vec::new();
    let mut holes = false;
    while let [what, shape, length, tail @ ..] = rest {
        let direction = if what & 1 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let (payload, after) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = after;
        let mut frame = frame(direction, *what, *shape, payload);
        match shape >> 2 {
            63 => {
                holes = true;
                script.push(Step::Gap(direction, u64::from(*length) + 1));
            }
            62 => script.push(Step::End(direction, End::Closed)),
            60 | 61 => {
                let at = random.below(frame.len() as u64) as usize;
                frame[at] = random.number() as u8;
            }
            _ => {}
        }
        script.push(Step::Bytes(direction, frame));
    }
    let handshake = || handshake(options);
    let whole = run_switched(protocol, &settings, handshake(), &script, Chop::Whole);
    let cut = run_switched(protocol, &settings, handshake(), &script, Chop::Random(u64::from(options)));
    assert!(whole.most_held.max(cut.most_held) < 8 << 20, "{} bytes are held", whole.most_held);
    // MQTT that is carried finds its way back, after what is not MQTT, only where chunks begin (see RESUME_AT_CHUNKS),
    // and what it has no use for stays WebSocket's.
    if !holes && options & CARRIES_MQTT == 0 {
        assert_eq!(lines(&whole).join("\n"), lines(&cut).join("\n"), "cuts make a difference");
    }
    run(protocol, &settings, false, &script, Chop::Whole);
}

/// In the options: the subprotocol is MQTT.
const CARRIES_MQTT: u8 = 16;

fn handshake(options: u8) -> Handshake {
    let mut response = Message::new("http1", Direction::ServerToClient, Role::Response);
    let extensions: &[u8] = match options >> 2 & 3 {
        0 => b"",
        1 => b"permessage-deflate",
        2 => b"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        _ => b"permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
    };
    response.add_header(Some(b"Sec-WebSocket-Extensions"), Some(extensions), false);
    if options & CARRIES_MQTT != 0 {
        response.add_header(Some(b"Sec-WebSocket-Protocol"), Some(b"mqtt"), false);
    }
    Handshake { request: None, response: Some(Box::new(response)) }
}

fn frame(direction: Direction, what: u8, shape: u8, payload: &[u8]) -> Vec<u8> {
    const FIRST: [u8; 16] =
        [0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1, 0xc2, 0x41, 0x02, 0x81, 0x82, 0x83, 0xa1];
    let mut frame = vec![FIRST[usize::from(what >> 1 & 15)]];
    let masked = (direction == Direction::ClientToServer) != (shape & 3 == 3 && what & 0x20 != 0);
    let mask = if masked { 0x80 } else { 0 };
    if payload.len() > 125 {
        frame.extend([mask | 126, (payload.len() >> 8) as u8, payload.len() as u8]);
    } else {
        frame.push(mask | payload.len() as u8);
    }
    if masked {
        let key = [what, shape, 3, 4];
        frame.extend(key);
        frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ key[index & 3]));
    } else {
        frame.extend_from_slice(payload);
    }
    frame
}
