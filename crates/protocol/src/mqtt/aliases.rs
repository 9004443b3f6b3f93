//! Topic aliases of one direction (MQTT 5.0, 3.3.2.3.4).

use std::collections::HashMap;

/// Bytes of topics that are kept for one direction.
const MOST_BYTES: usize = 512 << 10;

/// The topics that a direction's aliases stand for.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    topics: HashMap<u16, Vec<u8>>,
    bytes: usize,
    /// Why an alias may be unknown although its sender set it.
    forgotten: Option<&'static str>,
}

impl Aliases {
    /// For a direction of which something went by before.
    pub(super) fn joined_late() -> Aliases {
        Aliases { forgotten: Some("topic alias set before tracing"), ..Aliases::default() }
    }

    pub(super) fn set(&mut self, alias: u16, topic: &[u8]) {
        if let Some(old) = self.topics.remove(&alias) {
            self.bytes -= old.len();
        }
        if self.bytes + topic.len() > MOST_BYTES {
            self.forgotten = Some("more topic aliases than are kept");
        } else {
            self.bytes += topic.len();
            self.topics.insert(alias, topic.to_vec());
        }
    }

    /// The topic, or why it is not known.
    pub(super) fn topic(&self, alias: u16) -> Result<&[u8], &'static str> {
        let topic = self.topics.get(&alias).map(Vec::as_slice);
        topic.ok_or(self.forgotten.unwrap_or("topic alias never set"))
    }

    /// Packets may have been lost: any alias may stand for something else by now.
    pub(super) fn forget(&mut self) {
        *self = Aliases { forgotten: Some("topic alias set before bytes were lost"), ..Aliases::default() };
    }

    pub(super) fn held(&self) -> usize {
        self.bytes
    }
}
