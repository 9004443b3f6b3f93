use l7trace_event::Direction;
use l7trace_protocol::http2::hpack::{Decoder, Scratch};
use l7trace_protocol::{Settings, by_name};

use crate::http2::{END_HEADERS, PREFACE, block, data, frame, headers};
use crate::script::{Chop, Step, lines, run};

/// Frames of any kind, with gaps, in both directions: the same however they are cut, from the
/// start and from the middle, holding no more than is bounded.
pub fn http2(bytes: &[u8]) {
    let Some(protocol) = by_name("http2") else { return };
    let (script, from_start) = script(bytes);
    let settings = Settings { body_limit: 64, ..Settings::default() };
    let whole = run(protocol, &settings, from_start, &script, Chop::Whole);
    let limit = 8 * bytes.len() + (1 << 20);
    assert!(whole.most_held <= limit, "holds {} of {} bytes", whole.most_held, bytes.len());
    let expected = lines(&whole);
    for chop in [Chop::Bytewise, Chop::Random(bytes.len() as u64)] {
        assert_eq!(expected, lines(&run(protocol, &settings, from_start, &script, chop)), "{chop:?}");
    }
}

/// Header blocks of any kind: what a decoder that joined late gives is what one that did not gives,
/// or unknown.
pub fn hpack(bytes: &[u8]) {
    let (mut from_start, mut late) = (Decoder::new(), None);
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first() {
        let (block, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let mut fields = Vec::new();
        let result = from_start.decode(block, &mut Scratch::default(), |field| {
            fields.push((field.name.map(<[u8]>::to_vec), field.value.map(<[u8]>::to_vec)));
        });
        if let Some(late) = &mut late {
            let mut place = 0;
            let decoder: &mut Decoder = late;
            let late_result = decoder.decode(block, &mut Scratch::default(), |field| {
                if let Some((name, value)) = fields.get(place) {
                    assert!(field.name.is_none() || field.name == name.as_deref(), "{field:?} is not {name:?}");
                    assert!(field.value.is_none() || field.value == value.as_deref(), "{field:?} is not {value:?}");
                } else {
                    assert!(result.is_err(), "more fields than there are");
                }
                place += 1;
            });
            assert!(result.is_err() || late_result == result && place == fields.len());
        }
        if result.is_err() {
            return;
        }
        // The first block goes by unseen.
        late.get_or_insert_with(Decoder::late);
    }
}

/// The bodies of a call, of any kind.
pub fn grpc(bytes: &[u8]) {
    let Some(protocol) = by_name("http2") else { return };
    let Some((kind, body)) = bytes.split_first() else { return };
    let (request, response) = body.split_at(body.len() / 2);
    let content_type =
        ["application/grpc", "application/grpc+json", "application/grpc-web", "application/grpc-web-text"]
            [usize::from(kind & 3)];
    let coding = ["identity", "gzip", "deflate", "br"][usize::from(kind >> 2 & 3)];
    let head = [(":method", "POST"), (":path", "/a.B/C"), ("content-type", content_type), ("grpc-encoding", coding)];
    let answer = [(":status", "200"), ("content-type", content_type), ("grpc-encoding", coding)];
    let mut script = vec![
        Step::Bytes(Direction::ClientToServer, PREFACE.to_vec()),
        Step::Bytes(Direction::ServerToClient, frame(4, 0, 0, [])),
        Step::Bytes(Direction::ClientToServer, headers(1, false, block(&head))),
        Step::Bytes(Direction::ClientToServer, data(1, true, request)),
        Step::Bytes(Direction::ServerToClient, frame(1, END_HEADERS, 1, block(&answer))),
        Step::Bytes(Direction::ServerToClient, data(1, kind & 0x10 != 0, response)),
    ];
    let details = String::from_utf8_lossy(response).into_owned();
    let trailers =
        [("grpc-status", "2"), ("grpc-message", details.as_str()), ("grpc-status-details-bin", details.as_str())];
    script.push(Step::Bytes(Direction::ServerToClient, headers(1, true, block(&trailers))));
    let settings = Settings { body_limit: 4096, ..Settings::default() };
    let whole = lines(&run(protocol, &settings, true, &script, Chop::Whole));
    assert_eq!(whole, lines(&run(protocol, &settings, true, &script, Chop::Bytewise)));
}

/// Reads bytes as a script: each step is told by one byte, what is in it by those that follow.
fn script(bytes: &[u8]) -> (Vec<Step>, bool) {
    let Some((first, mut rest)) = bytes.split_first() else { return (Vec::new(), true) };
    let from_start = first & 1 != 0;
    let mut steps = Vec::new();
    if from_start {
        steps.push(Step::Bytes(Direction::ClientToServer, PREFACE.to_vec()));
    }
    while let [kind, length, after @ ..] = rest {
        let direction = Direction::BOTH[usize::from(kind & 1)];
        let (content, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let stream = 1 + 2 * u32::from(kind >> 5 & 3);
        match kind >> 1 & 15 {
            0 => steps.push(Step::Gap(direction, u64::from(*length) + 1)),
            1 | 2 if !content.is_empty() => steps.push(Step::Bytes(direction, content.to_vec())),
            3 => steps.push(Step::Bytes(direction, headers(stream, kind & 0x80 != 0, content))),
            4 => {
                steps.push(Step::Bytes(direction, headers(stream, kind & 0x80 != 0, [&[0x88, 0x82], content].concat())))
            }
            5 => steps.push(Step::Bytes(direction, data(stream, kind & 0x80 != 0, content))),
            kind => {
                let flags = content.first().copied().unwrap_or_default();
                steps.push(Step::Bytes(
                    direction,
                    frame(kind.saturating_sub(6), flags, stream, content.get(1..).unwrap_or_default()),
                ));
            }
        }
    }
    (steps, from_start)
}
