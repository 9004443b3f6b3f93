//! The closing account, for people.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use l7trace_exchange::Summary;

use super::canvas::{Canvas, width};
use super::color::Style;
use super::layout::WIDEST;
use super::sanitise::sanitised;
use super::{ledger, units};

/// Where what is said of each subject begins.
const COLUMN: usize = 14;

pub(super) fn write(summary: &Summary, columns: usize, canvas: &mut Canvas<'_>) {
    let glyphs = canvas.glyphs();
    let rule = glyphs.rule.repeat(2);
    let title = format!("{rule} {} traced ", units::duration(summary.duration, glyphs));
    canvas.text(Style::Dim, &title);
    let rest = columns.min(WIDEST).saturating_sub(width(&title));
    canvas.text(Style::Dim, &glyphs.rule.repeat(rest));
    canvas.end_line();
    let mut account = Account { canvas, columns };
    account.totals(summary);
    account.protocols(summary);
    account.outcomes(summary);
    account.ledger(summary);
    account.troubles(summary);
}

struct Account<'a, 'b> {
    canvas: &'a mut Canvas<'b>,
    columns: usize,
}

impl Account<'_, '_> {
    fn totals(&mut self, summary: &Summary) {
        let mut words = vec![(Style::Bold, units::count(summary.exchanges))];
        words.push((Style::Plain, format!("on {}", units::counted(summary.connections, "connection"))));
        let glyphs = self.canvas.glyphs();
        for (name, latency) in [("p50", summary.latency_p50), ("p99", summary.latency_p99)] {
            if let Some(latency) = latency {
                words.push((
                    Style::Plain,
                    format!(" {}", held(&format!("{name} {}", units::duration(latency, glyphs)))),
                ));
            }
        }
        self.line("exchanges", &words);
    }

    /// One line for each protocol: how many, by class of status.
    fn protocols(&mut self, summary: &Summary) {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        let exchanges = summary.by_status.iter().map(|((protocol, _), count)| (protocol, count));
        for (protocol, count) in exchanges.chain(&summary.messages_by_protocol) {
            *totals.entry(protocol).or_default() += count;
        }
        let mut totals: Vec<(&str, u64)> = totals.into_iter().collect();
        totals.sort_by_key(|(_, total)| Reverse(*total));
        for (name, _) in totals {
            let mut classes: Vec<(&str, u64)> = summary
                .by_status
                .iter()
                .filter(|((protocol, _), _)| *protocol == name)
                .map(|((_, class), count)| (class.as_str(), *count))
                .collect();
            // The classes of numbers in their order, then names by how often they came.
            classes.sort_by_key(|(class, count)| match class.ends_with("xx") {
                true => (false, class.to_string(), Reverse(0)),
                false => (true, String::new(), Reverse(*count)),
            });
            let mut words = Vec::new();
            for (class, count) in classes {
                let class = match class {
                    "none" => "no status".to_owned(),
                    class => sanitised(class.as_bytes(), self.canvas.charset()),
                };
                let word = held(&format!("{class} {}", units::count(count)));
                words.push((style_of(&class), format!("{word} ")));
            }
            if let Some(messages) = summary.messages_by_protocol.get(name) {
                words.push((Style::Plain, units::counted(*messages, "message")));
            }
            self.line(name, &words);
        }
    }

    fn outcomes(&mut self, summary: &Summary) {
        let mut words = Vec::new();
        for (name, count) in &summary.by_outcome {
            let (style, said) = match *name {
                "complete" => continue,
                "response_only" => (Style::Plain, "without the request"),
                "partial" => (Style::Warning, "known in part"),
                "failed" => (Style::Bad, "failed"),
                "unanswered" => (Style::Warning, "unanswered"),
                name => (Style::Warning, name),
            };
            words.push((style, format!("{} {said} ", units::count(*count))));
        }
        if summary.transactions > 0 {
            words.push((Style::Plain, units::counted(summary.transactions, "transaction")));
        }
        if !words.is_empty() {
            self.line("of them", &words);
        }
    }

    fn ledger(&mut self, summary: &Summary) {
        let closed = summary.ledger.lost() == 0 && summary.ledger.is_closed();
        let style = if closed { Style::Good } else { Style::Warning };
        self.line("bytes", &[(style, ledger::sentence(&summary.ledger))]);
    }

    /// What else a person must know; nothing of what did not occur.
    fn troubles(&mut self, summary: &Summary) {
        if summary.unrecognised_connections > 0 {
            let connections = units::counted(summary.unrecognised_connections, "connection");
            let bytes = units::bytes(summary.unrecognised_bytes);
            self.say(
                "unrecognised",
                Style::Plain,
                format!("{connections} ({bytes}) of no protocol that l7trace knows"),
            );
        }
        if summary.ring_full_records > 0 {
            let records = units::counted(summary.ring_full_records, "record");
            let bytes = units::bytes(summary.ring_full_bytes);
            let text = format!("{records} ({bytes}) found no room in the kernel's ring buffer: a larger one helps");
            self.say("ring full", Style::Warning, text);
        }
        if summary.unwritten > 0 {
            let text = format!(
                "{} not written: who reads this output was too slow",
                units::counted(summary.unwritten, "line")
            );
            self.say("output", Style::Warning, text);
        }
        if summary.ownerless > 0 {
            let text = format!(
                "{} left out: nobody could tell in time which process it belongs to",
                units::counted(summary.ownerless, "line")
            );
            self.say("owners", Style::Warning, text);
        }
        for (limit, count) in &summary.evictions {
            self.say("given up", Style::Warning, format!("{} at the limit of {limit}", units::count(*count)));
        }
        for (what, count) in &summary.not_understood {
            let what = sanitised(what.as_bytes(), self.canvas.charset());
            self.say("not read", Style::Warning, format!("{}: {what}", units::counted(*count, "packet")));
        }
        for blind in &summary.blind {
            let name = sanitised(blind.name.as_bytes(), self.canvas.charset());
            self.say("out of sight", Style::Warning, format!("{name}[{}]: {}", blind.pid, blind.why));
        }
    }

    fn say(&mut self, subject: &str, style: Style, text: String) {
        self.line(subject, &[(style, text)]);
    }

    /// A subject and what is said of it, word by word, on as many lines as it takes.
    fn line(&mut self, subject: &str, parts: &[(Style, String)]) {
        self.canvas.pad_to(0);
        self.canvas.text(Style::Dim, subject);
        let mut column = COLUMN;
        self.canvas.pad_to(COLUMN);
        for (style, part) in parts {
            for word in part.split(' ') {
                let wide = width(word);
                if column > COLUMN && column + wide > self.columns {
                    self.canvas.end_line();
                    self.canvas.pad_to(COLUMN);
                    column = COLUMN;
                }
                self.canvas.text(*style, &word.replace(HELD, " "));
                column += wide + 1;
                self.canvas.pad_to(column);
            }
        }
        self.canvas.end_line();
    }
}

/// Stands for a space at which no line is broken.
const HELD: char = '\u{a0}';

fn held(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

fn style_of(class: &str) -> Style {
    match class {
        "2xx" => Style::Good,
        "3xx" => Style::Elsewhere,
        "4xx" => Style::Warning,
        "5xx" => Style::Bad,
        _ => Style::Plain,
    }
}
