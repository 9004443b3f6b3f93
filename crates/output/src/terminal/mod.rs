//! The terminal: one line an exchange, fitted to its width; details below each where asked for; an
//! account at the end that a person understands.
//!
//! Times are UTC, as in the JSON line and in most servers' logs; the day stands above its first
//! line. Nothing that came over the wire is shown before [`sanitise`] made it harmless.

mod canvas;
mod cells;
mod color;
mod details;
mod fit;
mod glyphs;
mod layout;
mod ledger;
mod line;
mod sanitise;
mod status;
mod summary;
mod units;

use l7trace_exchange::{ConnectionRecord, Record};

pub use color::Color;
pub use glyphs::Charset;
pub use status::{quiet_line, status_line};

use crate::disclose::Disclosure;
use crate::{Output, OutputOptions};
use canvas::Canvas;
use color::Style;
use layout::Layout;

/// One line an exchange, for people.
pub struct Terminal {
    options: OutputOptions,
    disclosure: Disclosure,
    layout: Layout,
    /// The day of the last line, in days since the epoch.
    day: Option<u64>,
}

impl Terminal {
    /// With these options.
    pub fn new(options: &OutputOptions) -> Terminal {
        Terminal {
            options: *options,
            disclosure: Disclosure::new(options.redaction),
            layout: Layout::for_width(options.width),
            day: None,
        }
    }

    /// The day, where it is another than that of the line before; the columns' names, above the
    /// first line.
    fn write_head(&mut self, at: l7trace_event::Timestamp, canvas: &mut Canvas<'_>) {
        let day = at.0 / units::NANOSECONDS / units::SECONDS_A_DAY;
        let before = self.day.replace(day);
        if before == Some(day) {
            return;
        }
        let date = at.to_string();
        let date = date.split('T').next().unwrap_or_default();
        canvas.text(Style::Dim, date);
        if before.is_none() {
            canvas.text(Style::Dim, ", times in UTC");
        }
        canvas.end_line();
        if before.is_none() && self.options.header_line {
            line::write_header(&self.layout, canvas);
        }
    }

    fn write_connection(&mut self, record: &ConnectionRecord, canvas: &mut Canvas<'_>) {
        self.write_head(record.closed, canvas);
        line::write_connection(&self.layout, record, canvas);
        if self.options.verbose {
            details::write_connection(self.disclosure, record, canvas);
        }
    }
}

impl Output for Terminal {
    fn write(&mut self, record: &Record<'_>, to: &mut Vec<u8>) {
        let mut canvas = Canvas::new(to, self.options.color, self.options.charset);
        match record {
            Record::Exchange(exchange) => {
                self.write_head(exchange.start, &mut canvas);
                line::write(&self.layout, exchange, &mut canvas);
                if self.options.verbose {
                    details::write(self.disclosure, exchange, &mut canvas);
                }
                details::write_messages(self.disclosure, &self.options, exchange, &mut canvas);
            }
            Record::Connection(connection) => self.write_connection(connection, &mut canvas),
            Record::Summary(summary) => summary::write(summary, self.options.width, &mut canvas),
        }
    }

    fn resize(&mut self, width: usize) {
        self.options.width = width;
        self.layout = Layout::for_width(width);
    }
}

/// The registry's entry.
pub(crate) fn make(options: &OutputOptions) -> Box<dyn Output> {
    Box::new(Terminal::new(options))
}
