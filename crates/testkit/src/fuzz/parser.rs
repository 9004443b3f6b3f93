//! What the fuzz targets of the protocols run: arbitrary bytes as a script for a parser.

use l7trace_event::Direction;
use l7trace_protocol::{End, Prefix, Protocol, Sample, Settings, by_name};

use crate::script::{Chop, Step, lines, run};

/// The most that a parser may hold for a connection, whatever it is told.
const MOST_HELD: usize = 64 << 20;

/// Parsers that find their way back, after what is not their protocol, only where chunks begin: there
/// cuts make a difference.
const RESUME_AT_CHUNKS: &[&str] = &["websocket", "mqtt"];

/// Reads `data` as a script (who speaks, how much, gaps, ends) for the parser of `name`; asserts
/// that it holds little, and that a script without gaps gives the same however it is cut (but for
/// those that resume where chunks begin).
///
/// # Panics
/// Where an invariant does not hold.
pub fn parser(name: &str, data: &[u8]) {
    let Some(protocol) = by_name(name) else { panic!("no protocol is called {name}") };
    let Some((&options, data)) = data.split_first() else { return };
    let from_start = options & 1 == 0;
    let settings = Settings { body_limit: usize::from(options >> 1 & 3) * 64, ..Settings::default() };
    recognise(protocol, data);
    let script = script(data);
    let whole = run(protocol, &settings, from_start, &script, Chop::Whole);
    assert!(whole.most_held <= MOST_HELD, "{name} holds {} bytes", whole.most_held);
    let gapless = !script.iter().any(|step| matches!(step, Step::Gap(..)));
    if gapless && from_start && !RESUME_AT_CHUNKS.contains(&name) {
        let cut = run(protocol, &settings, from_start, &script, Chop::Random(u64::from(options)));
        assert_eq!(lines(&whole).join("\n"), lines(&cut).join("\n"), "{name}: cuts make a difference");
    }
}

fn recognise(protocol: &dyn Protocol, data: &[u8]) {
    let (one, two) = data.split_at(data.len() / 2);
    for from_start in [false, true] {
        let prefix = |bytes| Prefix { bytes, from_start, since_start: from_start, ended: false };
        protocol.recognise(&Sample { sides: [prefix(one), prefix(two)], initiator: None });
    }
}

/// Each step is a byte that says what it is, one that says how much, and its bytes.
fn script(data: &[u8]) -> Vec<Step> {
    let (mut rest, mut script) = (data, Vec::new());
    while let [what, length, tail @ ..] = rest {
        let direction = if what & 1 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let length = usize::from(*length) << (what >> 1 & 3);
        rest = tail;
        match what >> 3 & 15 {
            0 if length > 0 => script.push(Step::Gap(direction, length as u64)),
            1 if what & 128 != 0 => script.push(Step::End(direction, End::Closed)),
            _ => {
                let (bytes, left) = rest.split_at(length.min(rest.len()));
                rest = left;
                if !bytes.is_empty() {
                    script.push(Step::Bytes(direction, bytes.to_vec()));
                }
            }
        }
    }
    script
}
