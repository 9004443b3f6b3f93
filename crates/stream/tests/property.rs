//! What must hold for every stream, however it is cut, lost, repeated and mixed up on its way to
//! the tracer.

use std::time::Duration;

use l7trace_event::{Direction, Flags, Side, SourceKind, Timestamp, Witness};
use l7trace_stream::{Limits, Table};
use l7trace_testkit::conversation::Conversation;
use l7trace_testkit::heard::Listener;
use l7trace_testkit::script::Random;
use l7trace_testkit::told::Told;
use proptest::prelude::*;

/// What is done to a conversation on its way.
#[derive(Clone, Debug)]
struct Journey {
    starts: [u32; 2],
    /// Who says how much.
    script: Vec<(bool, usize)>,
    /// How large the segments are that each witness sees.
    cuts: Vec<usize>,
    /// Chances in a hundred that an event is lost, repeated, or made to overlap what was before it.
    lost: u64,
    repeated: u64,
    overlapping: u64,
    /// By how many microseconds events are mixed up.
    jitter: u64,
    /// Whether the handshake is seen.
    handshake: bool,
    /// Whether it is closed.
    closed: bool,
    seed: u64,
}

fn journey() -> impl Strategy<Value = Journey> {
    let start = prop_oneof![any::<u32>(), Just(0xffff_fff0u32), Just(0)];
    let script = prop::collection::vec((any::<bool>(), 1..4_000usize), 1..12);
    let chance = || prop_oneof![Just(0u64), 0..40u64];
    (
        [start.clone(), start],
        script,
        prop::collection::vec(prop_oneof![1..20usize, 100..5_000usize], 1..4),
        (chance(), chance(), chance()),
        prop_oneof![Just(0u64), 0..300u64],
        any::<bool>(),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(starts, script, cuts, (lost, repeated, overlapping), jitter, handshake, closed, seed)| {
            Journey {
                starts,
                script,
                // Few bytes a segment only where there is not much to cut.
                cuts,
                lost,
                repeated,
                overlapping,
                jitter,
                handshake,
                closed,
                seed,
            }
        })
}

/// The byte that a direction has at an offset.
fn byte(direction: Direction, offset: usize) -> u8 {
    let mixed = (offset as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (24 + 8 * direction.index());
    mixed as u8
}

/// What arrives, in the order in which it does, and how much was said each way.
fn travel(journey: &Journey) -> (Vec<Told>, [usize; 2]) {
    let mut random = Random::new(journey.seed);
    let mut arrived = Vec::new();
    let mut said = [0, 0];
    for (index, cut) in journey.cuts.iter().enumerate() {
        let witness = Witness { source: [SourceKind::Packets, SourceKind::Syscalls][index % 2], place: index as u32 };
        let mut conversation = Conversation::new(journey.starts).largest(*cut).witness(witness);
        conversation = conversation.open();
        said = [0, 0];
        for (is_client, length) in &journey.script {
            let direction = if *is_client { Direction::ClientToServer } else { Direction::ServerToClient };
            let from = said[direction.index()];
            let bytes: Vec<u8> = (from..from + length).map(|offset| byte(direction, offset)).collect();
            conversation = conversation.say(direction, &bytes);
            said[direction.index()] += length;
        }
        if journey.closed {
            conversation = conversation.close();
        }
        // All witnesses see all of it within the same time.
        let events = conversation.events.len() as u64;
        for (index, mut told) in conversation.events.into_iter().enumerate() {
            let is_handshake = index < 3;
            let at = 10 + index as u64 * 3_000 / events;
            let jitter = if is_handshake { 0 } else { random.below(journey.jitter + 1) };
            told.at = Some(Timestamp((if is_handshake { index as u64 } else { at + jitter }) * 1_000 + 1_000_000_000));
            if is_handshake && journey.handshake {
                arrived.push(told);
                continue;
            }
            if is_handshake || random.below(100) < journey.lost {
                continue;
            }
            if random.below(100) < journey.overlapping {
                overlap(&mut told, journey, &mut random);
            }
            if random.below(100) < journey.repeated {
                let mut again = told.clone();
                again.at = again.at.map(|at| at + Duration::from_micros(random.below(400)));
                arrived.push(again);
            }
            arrived.push(told);
        }
    }
    arrived.sort_by_key(|told| told.at);
    (arrived, said)
}

/// Makes a segment begin earlier than it did, with the bytes that are there.
fn overlap(told: &mut Told, journey: &Journey, random: &mut Random) {
    let direction = if told.from() == Side::A { Direction::ClientToServer } else { Direction::ServerToClient };
    let first = journey.starts[direction.index()].wrapping_add(1);
    let offset = told.segment.position.wrapping_sub(first) as usize;
    if told.bytes.is_empty() || told.segment.flags.has(Flags::OPEN) {
        return;
    }
    let back = random.below(offset.min(3_000) as u64 + 1) as usize;
    let mut bytes: Vec<u8> = (offset - back..offset).map(|offset| byte(direction, offset)).collect();
    bytes.extend(&told.bytes);
    told.bytes = bytes;
    told.segment.position = told.segment.position.wrapping_sub(back as u32);
}

/// Which bytes of a direction anyone brought.
fn brought(arrived: &[Told], direction: Direction, journey: &Journey, said: usize) -> Vec<bool> {
    let first = journey.starts[direction.index()].wrapping_add(1);
    let side = if direction == Direction::ClientToServer { Side::A } else { Side::B };
    let mut brought = vec![false; said];
    for told in arrived.iter().filter(|told| told.from() == side && !told.bytes.is_empty()) {
        let offset = told.segment.position.wrapping_sub(first) as usize;
        brought[offset..offset + told.bytes.len()].fill(true);
    }
    brought
}

fn hear(arrived: &[Told], limits: Limits, advance_every: usize) -> Listener {
    let mut listener = Listener::default();
    let mut table = Table::new(limits);
    for (index, told) in arrived.iter().enumerate() {
        let event = told.event(Timestamp(0));
        table.push(&event, &mut listener);
        if index % advance_every == 0 {
            table.advance(event.at, &mut listener);
        }
    }
    table.finish(&mut listener);
    assert!(table.ledger().is_closed(), "{:?}", table.ledger());
    listener
}

/// What was delivered of a direction of the one connection there is.
fn delivered(listener: &Listener, direction: Direction) -> Vec<Option<u8>> {
    let side = if direction == Direction::ClientToServer { Side::A } else { Side::B };
    listener.bytes.get(&(1, side)).cloned().unwrap_or_default()
}

/// How many journeys are made: few every day, as many as are asked for otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// With the handshake seen and everything within the grace: every byte that any witness brought
    /// is delivered, at its place, and nothing else is.
    #[test]
    fn every_byte_that_anyone_brought_is_delivered(journey in journey()) {
        let journey = Journey { handshake: true, ..journey };
        let (arrived, said) = travel(&journey);
        let listener = hear(&arrived, Limits::default(), 3);
        for direction in Direction::BOTH {
            let brought = brought(&arrived, direction, &journey, said[direction.index()]);
            let mut delivered = delivered(&listener, direction);
            // What nobody brought and nobody acknowledged was not seen at all.
            prop_assert!(delivered.len() <= said[direction.index()] + 1);
            delivered.resize(said[direction.index()].max(delivered.len()), None);
            for (offset, given) in delivered.iter().enumerate() {
                let expected = brought.get(offset).copied().unwrap_or(false).then(|| byte(direction, offset));
                prop_assert_eq!(*given, expected, "{:?} at {}", direction, offset);
            }
        }
        prop_assert_eq!(listener.over.len(), 1);
    }

    /// However late things come and however little may be held: what is delivered is right.
    #[test]
    fn nothing_is_invented_whatever_happens(journey in journey(), connection_bytes in 100..20_000usize, grace in 0..400u64) {
        let (arrived, said) = travel(&journey);
        let limits = Limits {
            connection_bytes,
            grace: Duration::from_micros(grace),
            hole: Duration::from_micros(600),
            ..Limits::default()
        };
        let listener = hear(&arrived, limits, 2);
        for direction in Direction::BOTH {
            let delivered = delivered(&listener, direction);
            let fits = |start: usize| {
                delivered.iter().enumerate().all(|(offset, given)| given.is_none_or(|given| given == byte(direction, start + offset)))
            };
            let anywhere = if journey.handshake { 1 } else { said[direction.index()] + 1 };
            prop_assert!((0..anywhere).any(fits), "{:?}", direction);
        }
    }

    /// The fuzz target's body, on what proptest thinks of.
    #[test]
    fn any_events_keep_the_invariants(data in prop::collection::vec(any::<u8>(), 0..3_000)) {
        l7trace_testkit::fuzz::stream(&data);
    }
}
