//! What a connection says, as a table, and what a parser makes of it however it is cut.

use std::fmt::Write as _;

use l7trace_event::{Cause, Direction, Timestamp};
use l7trace_protocol::{
    Chunk, End, Handshake, Input, Message, Outbox, Output, OwnedChunk, Parser, Protocol, Settings, Start, Value,
};

/// What went by, in the order in which it was seen. The time of a step is its index in
/// microseconds, so that times do not depend on how a step is cut.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bytes.
    Bytes(Direction, Vec<u8>),
    /// Bytes that were not seen.
    Gap(Direction, u64),
    /// The end of a direction.
    End(Direction, End),
}

/// The client says.
pub fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Direction::ClientToServer, bytes.as_ref().to_vec())
}

/// The server says.
pub fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Direction::ServerToClient, bytes.as_ref().to_vec())
}

/// Both directions close in order, the client first.
pub fn close() -> [Step; 2] {
    [Step::End(Direction::ClientToServer, End::Closed), Step::End(Direction::ServerToClient, End::Closed)]
}

/// How the bytes of a step are cut into chunks.
#[derive(Clone, Copy, Debug)]
pub enum Chop {
    /// Not at all.
    Whole,
    /// One byte at a time.
    Bytewise,
    /// At random, from this seed.
    Random(u64),
}

/// What a parser put out: messages in order, what else it said, and where it stopped.
#[derive(Debug, Default)]
pub struct Heard {
    /// The messages.
    pub messages: Vec<Message>,
    /// What followed the switch, where there was one.
    pub switch: Option<l7trace_protocol::Switch>,
    /// Why the recognition was withdrawn, where it was.
    pub withdrawn: Option<String>,
    /// The most that the parser ever held.
    pub most_held: usize,
}

/// Feeds a script to a new parser of `protocol`. Each direction that does not end in the script
/// ends with [`End::Unknown`].
pub fn run(protocol: &dyn Protocol, settings: &Settings, from_start: bool, script: &[Step], chop: Chop) -> Heard {
    feed(protocol.parser(Start { from_start: [from_start; 2], settings, handshake: None }), script, chop)
}

/// Feeds a script to a new parser of `protocol` that a switch led to.
pub fn run_switched(
    protocol: &dyn Protocol,
    settings: &Settings,
    handshake: Handshake,
    script: &[Step],
    chop: Chop,
) -> Heard {
    let start = Start { from_start: [true; 2], settings, handshake: Some(Box::new(handshake)) };
    feed(protocol.parser(start), script, chop)
}

fn feed(mut parser: Box<dyn Parser>, script: &[Step], chop: Chop) -> Heard {
    let mut heard = Heard::default();
    let mut outbox = Outbox::default();
    let mut positions = [0u64; 2];
    let mut ended = [false; 2];
    let mut random = Random::new(match chop {
        Chop::Random(seed) => seed,
        _ => 0,
    });
    let unended = Direction::BOTH.map(|direction| Step::End(direction, End::Unknown));
    for (index, step) in script.iter().chain(&unended).enumerate() {
        let (direction, inputs): (Direction, Vec<Input<'_>>) = match step {
            Step::Bytes(direction, bytes) => (*direction, cut(bytes, chop, &mut random).map(Input::Bytes).collect()),
            Step::Gap(direction, length) => {
                (*direction, vec![Input::Gap { length: *length, cause: Cause::NotCaptured }])
            }
            Step::End(direction, end) => (*direction, vec![Input::End(*end)]),
        };
        if ended[direction.index()] {
            continue;
        }
        for input in inputs {
            let position = positions[direction.index()];
            // A sender has read whatever went by before it spoke: so scripts are written.
            let acknowledged = Some(positions[direction.opposite().index()]);
            let at = Timestamp(1_000 * (index as u64 + 1));
            match (&mut heard.switch, &heard.withdrawn) {
                (Some(switch), _) => {
                    if let Input::Bytes(bytes) = input {
                        switch.rest.push(OwnedChunk { direction, position, at, acknowledged, bytes: bytes.to_vec() });
                    }
                }
                (None, Some(_)) => {}
                (None, None) => {
                    parser.push(Chunk { direction, position, at, acknowledged, input }, &mut outbox);
                    heard.most_held = heard.most_held.max(parser.held());
                    for output in outbox.take() {
                        match output {
                            Output::Message(message) => heard.messages.push(*message),
                            Output::Switch(switch) => heard.switch = Some(switch),
                            Output::Withdrawn { why } => heard.withdrawn = Some(why.into_owned()),
                        }
                    }
                }
            }
            match input {
                Input::Bytes(bytes) => positions[direction.index()] += bytes.len() as u64,
                Input::Gap { length, .. } => positions[direction.index()] += length,
                Input::End(_) => ended[direction.index()] = true,
            }
        }
    }
    heard
}

/// Checks that a script gives the expected lines (see [`line_of`]) whole, byte by byte and cut at
/// random; `expected` lists what must stand in each line, separated by ` | `.
///
/// # Panics
/// Where it does not.
#[track_caller]
pub fn check(protocol: &dyn Protocol, settings: &Settings, script: &[Step], expected: &[&str]) {
    let whole = lines(&run(protocol, settings, true, script, Chop::Whole));
    let fits = whole.len() == expected.len()
        && whole.iter().zip(expected).all(|(line, parts)| parts.split(" | ").all(|part| line.contains(part)));
    assert!(fits, "expected:\n{}\ngiven:\n{}", expected.join("\n"), whole.join("\n"));
    check_cuts(protocol, settings, true, script);
}

/// Checks that a script gives the same whole, byte by byte and cut at random.
///
/// # Panics
/// Where it does not.
#[track_caller]
pub fn check_cuts(protocol: &dyn Protocol, settings: &Settings, from_start: bool, script: &[Step]) {
    let whole = lines(&run(protocol, settings, from_start, script, Chop::Whole));
    let cuts = std::iter::once(Chop::Bytewise).chain((1..9).map(Chop::Random));
    for chop in cuts {
        let cut = lines(&run(protocol, settings, from_start, script, chop));
        assert_eq!(whole.join("\n"), cut.join("\n"), "cut {chop:?} differs (right) from whole (left)");
    }
}

/// Punches a hole: `length` bytes of one direction, from `position` on, become a gap.
pub fn punch(script: &[Step], hole: Direction, position: u64, length: u64) -> Vec<Step> {
    let (mut at, mut punched) = (0u64, Vec::new());
    for step in script {
        let Step::Bytes(direction, bytes) = step else {
            punched.push(step.clone());
            continue;
        };
        if *direction != hole {
            punched.push(step.clone());
            continue;
        }
        let (start, end) = (at, at + bytes.len() as u64);
        at = end;
        let from = position.clamp(start, end);
        let to = (position + length).clamp(start, end);
        for part in [
            Step::Bytes(hole, bytes[..(from - start) as usize].to_vec()),
            Step::Gap(hole, to - from),
            Step::Bytes(hole, bytes[(to - start) as usize..].to_vec()),
        ] {
            match &part {
                Step::Bytes(_, bytes) if bytes.is_empty() => {}
                Step::Gap(_, 0) => {}
                _ => punched.push(part),
            }
        }
    }
    punched
}

/// How many bytes a script has in one direction.
pub fn length(script: &[Step], of: Direction) -> u64 {
    let bytes = |step: &Step| match step {
        Step::Bytes(direction, bytes) if *direction == of => bytes.len() as u64,
        Step::Gap(direction, length) if *direction == of => *length,
        _ => 0,
    };
    script.iter().map(bytes).sum()
}

/// A line for everything heard.
pub fn lines(heard: &Heard) -> Vec<String> {
    let mut lines: Vec<String> = heard.messages.iter().map(line_of).collect();
    if let Some(switch) = &heard.switch {
        let mut rest = [Vec::new(), Vec::new()];
        for chunk in &switch.rest {
            rest[chunk.direction.index()].extend_from_slice(&chunk.bytes);
        }
        let [client, server] = rest.map(|bytes| bytes.escape_ascii().to_string());
        lines.push(format!("switch to {:?} client=`{client}` server=`{server}`", switch.next));
    }
    if let Some(why) = &heard.withdrawn {
        lines.push(format!("withdrawn: {why}"));
    }
    lines
}

/// A message as one line:
///
/// `http1 c>s request 0/1 op=GET res=/x st=- host=a headers=[Host: a] trailers=[] body=`..` wire=18 body_bytes=0
/// lost=0 Whole failed=false first=0@1000 last=18@1000 notes=[] attributes=[] facts=[]`
pub fn line_of(message: &Message) -> String {
    let text = |span| match message.text_of(span) {
        Some(bytes) => bytes.escape_ascii().to_string(),
        None => "-".to_owned(),
    };
    let fields = |fields: &[l7trace_protocol::Field]| {
        let each = fields.iter().map(|field| {
            format!("{}: {}{}", text(field.name), text(field.value), if field.secret { " (secret)" } else { "" })
        });
        each.collect::<Vec<_>>().join("; ")
    };
    let attributes = |attributes: &[l7trace_protocol::Attribute]| {
        let each = attributes.iter().map(|attribute| format!("{}={}", attribute.name, show(&attribute.value)));
        each.collect::<Vec<_>>().join("; ")
    };
    let mut line = String::new();
    let _ = write!(
        line,
        "{} {} {}{} {}/{} op={} res={} st={} host={} headers=[{}] trailers=[{}] body=`{}`{} wire={} body_bytes={} lost={} {:?} failed={} first={}@{} last={}@{} notes=[{}] attributes=[{}] facts=[{}]",
        message.protocol,
        match message.direction {
            Direction::ClientToServer => "c>s",
            Direction::ServerToClient => "s>c",
        },
        format!("{:?}", message.role).to_lowercase(),
        if message.up_to { "(up to)" } else { "" },
        message.key.space,
        message.key.id,
        text(message.operation),
        text(message.resource),
        text(message.status),
        text(message.host),
        fields(&message.headers),
        fields(&message.trailers),
        message.body.escape_ascii(),
        if message.body_truncated { "…" } else { "" },
        message.bytes,
        message.body_bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
        message.lost_bytes,
        message.completeness,
        message.failed,
        message.first.position,
        message.first.at.0,
        message.last.position,
        message.last.at.0,
        message.notes.join("; "),
        attributes(&message.attributes),
        attributes(&message.facts),
    );
    line
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("`{}`", bytes.escape_ascii()),
        Value::Secret(bytes) => format!("secret({})", bytes.len()),
        Value::List(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let pairs = map.iter().map(|(name, value)| format!("{name}: {}", show(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

fn cut<'a>(bytes: &'a [u8], chop: Chop, random: &mut Random) -> std::vec::IntoIter<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = match chop {
            Chop::Whole => rest.len(),
            Chop::Bytewise => 1,
            // Mostly short pieces, now and then a long one.
            Chop::Random(_) => {
                let most = if random.below(4) == 0 { rest.len() } else { rest.len().min(16) };
                1 + random.below(most as u64) as usize
            }
        };
        let (piece, left) = rest.split_at(length);
        pieces.push(piece);
        rest = left;
    }
    pieces.into_iter()
}

/// A small generator of reproducible numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punching_splits_steps_and_keeps_the_length() {
        let script = [client("abcd"), server("xy"), client("efgh")];
        let punched = punch(&script, Direction::ClientToServer, 2, 4);
        assert_eq!(length(&punched, Direction::ClientToServer), 8);
        assert_eq!(
            format!("{punched:?}"),
            "[Bytes(ClientToServer, [97, 98]), Gap(ClientToServer, 2), Bytes(ServerToClient, [120, 121]), \
             Gap(ClientToServer, 2), Bytes(ClientToServer, [103, 104])]"
        );
    }
}
