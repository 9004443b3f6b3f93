//! What l7trace's recordings say beyond packets, as text: written by [`record`](crate::record),
//! read back by [`file`](crate::file). `docs/recording.md` describes it.
//!
//! A note is `l7trace:` and words `key=value`, separated by spaces. Values are percent-encoded
//! where they hold spaces, control characters or percent signs. Unknown words are ignored.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use l7trace_event::{Cause, Endpoint, Event, Flags, Process, Segment, SourceKind, Timestamp, Tuple, What, Witness};

/// The enterprise number of l7trace's custom blocks: the one reserved for examples (RFC 5612), so
/// that what follows it must say whose it is: it begins with [`PREFIX`].
pub(crate) const ENTERPRISE: u32 = 32473;
/// How every note begins.
pub(crate) const PREFIX: &str = "l7trace: ";
/// How many interfaces a section may have.
pub(crate) const INTERFACE_LIMIT: u32 = 65_536;
/// The upper half of the IPv6 addresses that stand for Unix sockets: a unique local prefix
/// (RFC 4193) that spells `l7trac`; the socket's identity is the lower half.
const UNIX_PREFIX: u64 = 0xfd00_6c37_7472_6163;

/// Whether a comment or custom block is one of l7trace's notes.
pub(crate) fn is_ours(text: &[u8]) -> bool {
    text.starts_with(PREFIX.as_bytes())
}

/// The IPv6 address that stands for one end of a Unix socket pair.
pub(crate) fn unix_stand_in(identity: u64) -> u128 {
    u128::from(UNIX_PREFIX) << 64 | u128::from(identity)
}

fn unix_restored(end: Endpoint) -> Endpoint {
    match end.ip() {
        Some(std::net::IpAddr::V6(ip)) if u128::from(ip) >> 64 == u128::from(UNIX_PREFIX) => {
            Endpoint::unix(u128::from(ip) as u64)
        }
        _ => end,
    }
}

/// What a recording says of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InterfaceNote {
    pub(crate) witness: Witness,
    pub(crate) namespace: u32,
    /// Addresses stand for the ends of Unix sockets.
    pub(crate) unix: bool,
}

impl InterfaceNote {
    /// `l7trace: source=packets place=2 namespace=4026531840`
    pub(crate) fn text(&self) -> String {
        let unix = if self.unix { " unix=1" } else { "" };
        format!("{PREFIX}{} namespace={}{unix}", witness_text(self.witness), self.namespace)
    }

    pub(crate) fn parse(text: &[u8]) -> Option<InterfaceNote> {
        let words = Words::of(text)?;
        Some(InterfaceNote {
            witness: words.witness()?,
            namespace: words.number("namespace").unwrap_or(0),
            unix: words.value("unix") == Some("1"),
        })
    }
}

/// What a recording says of a packet that TCP has no field for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketNote {
    pub(crate) flags: Flags,
    pub(crate) cause: Option<Cause>,
}

/// Flags that only a note can tell.
const NOTED: [(Flags, &str); 5] = [
    (Flags::CLIENT, "client"),
    (Flags::SERVER, "server"),
    (Flags::APPEND, "append"),
    (Flags::ANSWER, "answer"),
    (Flags::ELSEWHERE, "elsewhere"),
];

impl PacketNote {
    /// `l7trace: flags=client,append cause=zero_copy`; empty where there is nothing to say.
    pub(crate) fn write(&self, to: &mut String) {
        to.clear();
        let mut separator = "flags=";
        for (flag, name) in NOTED {
            if self.flags.has(flag) {
                let prefix = if to.is_empty() { PREFIX } else { "" };
                let _ = write!(to, "{prefix}{separator}{name}");
                separator = ",";
            }
        }
        if let Some(cause) = self.cause.filter(|cause| *cause != Cause::CaptureLimit) {
            let prefix = if to.is_empty() { PREFIX } else { " " };
            let _ = write!(to, "{prefix}cause={}", cause.name());
        }
    }

    pub(crate) fn parse(text: &[u8]) -> PacketNote {
        let Some(words) = Words::of(text) else { return PacketNote::default() };
        let names = words.value("flags").unwrap_or_default();
        let flags = names.split(',').filter_map(|name| NOTED.iter().find(|noted| noted.1 == name));
        PacketNote {
            flags: flags.fold(Flags::default(), |flags, noted| flags.with(noted.0)),
            cause: words.value("cause").and_then(|name| Cause::ALL.into_iter().find(|cause| cause.name() == name)),
        }
    }

    /// The event that the packet was made of.
    pub(crate) fn restore<'a>(&self, event: &Event<'a>, unix: bool) -> Event<'a> {
        let mut event = event.clone();
        if unix {
            let Tuple { source, destination, namespace } = event.tuple;
            event.tuple = Tuple { source: unix_restored(source), destination: unix_restored(destination), namespace };
        }
        if let What::Segment(segment) = event.what {
            event.what = What::Segment(Segment {
                flags: segment.flags.with(self.flags),
                cause: if segment.missing > 0 { self.cause.or(segment.cause) } else { None },
                ..segment
            });
        }
        event
    }
}

/// The text of an event that is no packet; none for those that are.
///
/// `l7trace: owner at=1795341600123456789 source=packets place=2 from=127.0.0.1:80 to=127.0.0.1:4000
/// namespace=4026531840 pid=812 started=5230000000 cgroup=71 name=nginx`
pub(crate) fn fact_text(event: &Event<'_>) -> Option<String> {
    let kind = match &event.what {
        What::Segment(_) => return None,
        What::Owner(_) => "owner",
        What::Name(_) => "name",
        What::Exists => "exists",
        What::RingFull { .. } => "ring_full",
    };
    let Tuple { source, destination, namespace } = event.tuple;
    let mut text = format!("{PREFIX}{kind} at={} {}", event.at.0, witness_text(event.witness));
    if !matches!(event.what, What::RingFull { .. }) {
        let _ = write!(text, " from={source} to={destination} namespace={namespace}");
    }
    match &event.what {
        What::Owner(process) => {
            let Process { pid, name, started, cgroup } = &**process;
            let _ = write!(text, " pid={pid} started={started} cgroup={cgroup} name={}", encode(name));
        }
        What::Name(name) => {
            let _ = write!(text, " name={}", encode(name));
        }
        What::RingFull { records, bytes } => {
            let _ = write!(text, " records={records} bytes={bytes}");
        }
        What::Exists | What::Segment(_) => {}
    }
    Some(text)
}

/// The event that [`fact_text`] wrote.
pub(crate) fn fact(text: &[u8]) -> Option<Event<'static>> {
    let words = Words::of(text)?;
    let end = |key| words.value(key).and_then(endpoint);
    let tuple = match (end("from"), end("to")) {
        (Some(source), Some(destination)) => {
            Tuple { source, destination, namespace: words.number("namespace").unwrap_or(0) }
        }
        _ => Tuple::new(Endpoint::default(), Endpoint::default(), 0),
    };
    let named = tuple.source != Endpoint::default();
    let what = match words.text.split_whitespace().next()? {
        "owner" if named => What::Owner(Arc::new(Process {
            pid: words.number("pid")?,
            name: decode(words.value("name")?),
            started: words.number("started").unwrap_or(0),
            cgroup: words.number("cgroup").unwrap_or(0),
        })),
        "name" if named => What::Name(decode(words.value("name")?).into()),
        "exists" if named => What::Exists,
        "ring_full" => What::RingFull { records: words.number("records")?, bytes: words.number("bytes").unwrap_or(0) },
        _ => return None,
    };
    Some(Event { at: Timestamp(words.number("at")?), witness: words.witness()?, tuple, what, packet: None })
}

fn witness_text(witness: Witness) -> String {
    format!("source={} place={}", witness.source.name(), witness.place)
}

/// `10.0.0.1:80`, `[::1]:80`, `unix:4711`.
fn endpoint(text: &str) -> Option<Endpoint> {
    if let Some(identity) = text.strip_prefix("unix:") {
        return identity.parse().ok().map(Endpoint::unix);
    }
    let address: SocketAddr = text.parse().ok()?;
    Some(Endpoint::inet(address.ip(), address.port()))
}

/// The words of a note.
struct Words<'a> {
    text: &'a str,
}

impl<'a> Words<'a> {
    fn of(text: &'a [u8]) -> Option<Words<'a>> {
        let text = text.strip_prefix(PREFIX.as_bytes())?;
        let end = text.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(text.len());
        Some(Words { text: std::str::from_utf8(text.get(..end)?).ok()? })
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        let mut words = self.text.split(' ');
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.value(key)?.parse().ok()
    }

    fn witness(&self) -> Option<Witness> {
        const ALL: [SourceKind; 4] = [SourceKind::File, SourceKind::Packets, SourceKind::Syscalls, SourceKind::Tls];
        let name = self.value("source")?;
        let source = ALL.into_iter().find(|source| source.name() == name)?;
        Some(Witness { source, place: self.number("place")? })
    }
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if character == ' ' || character == '%' || character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                let _ = write!(encoded, "%{byte:02x}");
            }
        } else {
            encoded.push(character);
        }
    }
    encoded
}

fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after.first_chunk::<2>()) {
            (b'%', Some(digits)) => {
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_were() {
        let witness = Witness { source: SourceKind::Syscalls, place: 1 };
        let inet = |text: &str| endpoint(text).unwrap();
        let process = Process { pid: 7, name: "a b%\n\u{e9}".into(), started: 9, cgroup: 11 };
        let check = |tuple: Tuple, what: What<'static>| {
            let event = Event { at: Timestamp(123), witness, tuple, what, packet: None };
            let text = fact_text(&event).unwrap();
            let read = fact(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(format!("{event:?}"), format!("{read:?}"), "{text}");
        };
        let loopback = Tuple::new(inet("[::1]:80"), inet("[::1]:4000"), 4_026_531_840);
        check(loopback, What::Owner(Arc::new(process)));
        check(loopback, What::Exists);
        let unix = Tuple::new(Endpoint::unix(u64::MAX), Endpoint::unix(3), 0);
        check(unix, What::Name("@/tmp/x y".into()));
        let none = Tuple::new(Endpoint::default(), Endpoint::default(), 0);
        check(none, What::RingFull { records: 3, bytes: 4000 });
    }

    #[test]
    fn packet_notes_come_back_as_they_were() {
        let check = |flags: &[Flags], cause, expected: &str| {
            let flags = flags.iter().fold(Flags::default(), |all, flag| all.with(*flag));
            let mut text = String::new();
            PacketNote { flags, cause }.write(&mut text);
            assert_eq!(text, expected);
            assert_eq!(PacketNote::parse(text.as_bytes()), PacketNote { flags, cause });
        };
        check(&[], None, "");
        check(&[Flags::CLIENT], None, "l7trace: flags=client");
        check(&[Flags::SERVER, Flags::APPEND], Some(Cause::ZeroCopy), "l7trace: flags=server,append cause=zero_copy");
        check(&[], Some(Cause::Unreadable), "l7trace: cause=unreadable");
        check(&[Flags::ELSEWHERE], None, "l7trace: flags=elsewhere");
    }
}
