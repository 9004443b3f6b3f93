//! What a summary says of the exchanges of a run.

use std::collections::BTreeMap;

use crate::histogram::Histogram;
use crate::{Exchange, Kind, Outcome, Summary};

/// Counts exchanges: a fixed size, whatever is added. Each worker keeps its own; they are merged at
/// the end.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    exchanges: u64,
    messages: u64,
    transactions: u64,
    protocols: BTreeMap<&'static str, Protocol>,
    outcomes: [u64; Outcome::COUNT],
    latencies: Histogram,
}

#[derive(Clone, Debug, Default)]
struct Protocol {
    /// By first digit of a status of three digits: what nearly every exchange has.
    hundreds: [u64; 10],
    /// By any other status.
    named: BTreeMap<String, u64>,
    /// Exchanges without a status.
    none: u64,
    messages: u64,
}

/// How many statuses of a protocol are counted each by itself: they are a stranger's words.
const MOST_NAMES: usize = 64;
/// The longest status that is counted by itself.
const LONGEST_NAME: usize = 40;
/// Where the others are counted.
const OTHER: &str = "other";
/// Where exchanges without a status are counted.
const NONE: &str = "none";

impl Outcome {
    const COUNT: usize = 5;
    const ALL: [Outcome; Outcome::COUNT] =
        [Outcome::Complete, Outcome::Failed, Outcome::Unanswered, Outcome::Partial, Outcome::ResponseOnly];
}

impl Statistics {
    /// Counts one more.
    pub fn add(&mut self, exchange: &Exchange) {
        let protocol = exchange.protocol().map(|name| self.protocols.entry(name).or_default());
        match exchange.kind {
            Kind::Exchange => {
                self.exchanges += 1;
                self.outcomes[exchange.outcome as usize] += 1;
                if let Some(latency) = exchange.latency {
                    self.latencies.add(latency);
                }
                if let Some(protocol) = protocol {
                    protocol.add(exchange.status());
                }
            }
            Kind::Message => {
                self.messages += 1;
                if let Some(protocol) = protocol {
                    protocol.messages += 1;
                }
            }
            Kind::Transaction => self.transactions += 1,
        }
    }

    /// Adds what another worker counted.
    pub fn merge(&mut self, other: &Statistics) {
        self.exchanges += other.exchanges;
        self.messages += other.messages;
        self.transactions += other.transactions;
        for (count, more) in self.outcomes.iter_mut().zip(other.outcomes) {
            *count += more;
        }
        for (name, protocol) in &other.protocols {
            self.protocols.entry(name).or_default().merge(protocol);
        }
        self.latencies.merge(&other.latencies);
    }

    /// Writes what was counted into a summary; leaves the rest of it as it is.
    pub fn fill(&self, summary: &mut Summary) {
        summary.exchanges = self.exchanges;
        summary.messages = self.messages;
        summary.transactions = self.transactions;
        summary.by_status.clear();
        summary.messages_by_protocol.clear();
        for (name, protocol) in &self.protocols {
            for (class, count) in protocol.classes() {
                // A stranger's status may read `2xx` as well.
                *summary.by_status.entry((name, class)).or_default() += count;
            }
            if protocol.messages > 0 {
                summary.messages_by_protocol.insert(name, protocol.messages);
            }
        }
        let outcomes = Outcome::ALL.map(|outcome| (outcome.name(), self.outcomes[outcome as usize]));
        summary.by_outcome = outcomes.into_iter().filter(|(_, count)| *count > 0).collect();
        summary.latency_p50 = self.latencies.percentile(50);
        summary.latency_p99 = self.latencies.percentile(99);
    }
}

impl Protocol {
    fn add(&mut self, status: Option<&[u8]>) {
        match status {
            None => self.none += 1,
            Some([first @ b'0'..=b'9', b'0'..=b'9', b'0'..=b'9']) => self.hundreds[usize::from(first - b'0')] += 1,
            Some(status) => {
                let plain = status.len() <= LONGEST_NAME && status.iter().all(|byte| (0x20..0x7f).contains(byte));
                let name = if plain { str::from_utf8(status).unwrap_or(OTHER) } else { OTHER };
                self.add_named(name, 1);
            }
        }
    }

    fn add_named(&mut self, name: &str, count: u64) {
        if let Some(counted) = self.named.get_mut(name) {
            *counted += count;
        } else if self.named.len() < MOST_NAMES {
            self.named.insert(name.to_owned(), count);
        } else {
            *self.named.entry(OTHER.to_owned()).or_default() += count;
        }
    }

    fn merge(&mut self, other: &Protocol) {
        for (count, more) in self.hundreds.iter_mut().zip(other.hundreds) {
            *count += more;
        }
        for (name, count) in &other.named {
            self.add_named(name, *count);
        }
        self.none += other.none;
        self.messages += other.messages;
    }

    fn classes(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let hundreds = self.hundreds.iter().enumerate().map(|(digit, count)| (format!("{digit}xx"), *count));
        let named = self.named.iter().map(|(name, count)| (name.clone(), *count));
        hundreds.chain(named).chain([(NONE.to_owned(), self.none)]).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use l7trace_event::{Direction, Endpoint, SourceKind, Timestamp};
    use l7trace_protocol::{Key, Message, Role};

    use super::*;
    use crate::{Connection, Peer};

    fn exchange(kind: Kind, protocol: &'static str, status: Option<&str>, latency: Option<u64>) -> Exchange {
        let peer = || Peer { endpoint: Endpoint::default(), name: None, process: None };
        let mut response = Message::new(protocol, Direction::ServerToClient, Role::Response);
        if let Some(status) = status {
            response.set_status(status.as_bytes());
        }
        Exchange {
            kind,
            connection: Arc::new(Connection { number: 1, client: peer(), server: peer(), tls: false }),
            sequence: 1,
            key: Key::default(),
            request: Some(Box::new(Message::new(protocol, Direction::ClientToServer, Role::Request))),
            response: Some(Box::new(response)),
            steps: Vec::new(),
            repeats: 0,
            outcome: if status == Some("500") { Outcome::Failed } else { Outcome::Complete },
            start: Timestamp(0),
            latency,
            timings: None,
            source: SourceKind::File,
            witnesses: vec![SourceKind::File],
        }
    }

    #[test]
    fn counts_by_protocol_status_and_outcome_merged_or_not() {
        let all = [
            exchange(Kind::Exchange, "http1", Some("200"), Some(1_000_000)),
            exchange(Kind::Exchange, "http1", Some("204"), Some(1_000_000)),
            exchange(Kind::Exchange, "http1", Some("500"), Some(3_000_000)),
            exchange(Kind::Exchange, "http1", None, None),
            exchange(Kind::Exchange, "grpc", Some("OK"), Some(1_000_000)),
            exchange(Kind::Exchange, "grpc", Some("\x1b[2J"), Some(1_000_000)),
            exchange(Kind::Message, "websocket", Some("1000"), None),
            exchange(Kind::Transaction, "smtp", Some("250"), Some(9)),
        ];
        let mut workers = [Statistics::default(), Statistics::default()];
        for (index, exchange) in all.iter().enumerate() {
            workers[index % 2].add(exchange);
        }
        let [mut statistics, other] = workers;
        statistics.merge(&other);
        let mut summary = Summary::default();
        statistics.fill(&mut summary);
        let by_status: Vec<String> =
            summary.by_status.iter().map(|((protocol, class), count)| format!("{protocol} {class} {count}")).collect();
        assert_eq!(by_status, ["grpc OK 1", "grpc other 1", "http1 2xx 2", "http1 5xx 1", "http1 none 1"]);
        assert_eq!((summary.exchanges, summary.messages, summary.transactions), (6, 1, 1));
        assert_eq!(summary.by_outcome, BTreeMap::from([("complete", 5), ("failed", 1)]));
        assert_eq!(summary.messages_by_protocol, BTreeMap::from([("websocket", 1)]));
        assert!(summary.latency_p50.unwrap().abs_diff(1_000_000) <= 20_000);
        assert!(summary.latency_p99.unwrap().abs_diff(3_000_000) <= 60_000);
    }

    #[test]
    fn a_stranger_cannot_fill_the_table_of_statuses() {
        let mut statistics = Statistics::default();
        for number in 0..1_000 {
            statistics.add(&exchange(Kind::Exchange, "http1", Some(&format!("made up {number}")), None));
        }
        let mut summary = Summary::default();
        statistics.fill(&mut summary);
        assert!(summary.by_status.len() <= MOST_NAMES + 1);
        assert_eq!(summary.by_status.values().sum::<u64>(), 1_000);
    }
}
