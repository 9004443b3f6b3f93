use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use l7trace_event::{ConnectionKey, Process, Side};

use crate::Facts;

/// Owners and names of connections that were not seen yet: told before the first segment, or not to
/// be seen at all. The oldest are forgotten first.
#[derive(Default)]
pub(crate) struct Foreknown {
    known: HashMap<ConnectionKey, Ends>,
    order: VecDeque<ConnectionKey>,
}

/// By side.
#[derive(Default)]
struct Ends {
    owners: [Option<Arc<Process>>; 2],
    names: [Option<Arc<str>>; 2],
}

const MOST: usize = 4096;

impl Foreknown {
    pub(crate) fn owner(&mut self, key: ConnectionKey, side: Side, owner: Arc<Process>) {
        self.ends(key).owners[side.index()] = Some(owner);
    }

    pub(crate) fn name(&mut self, key: ConnectionKey, side: Side, name: Arc<str>) {
        self.ends(key).names[side.index()] = Some(name);
    }

    /// Gives what is known to a connection that is now seen.
    pub(crate) fn tell(&mut self, facts: &mut Facts) {
        if self.known.is_empty() {
            return;
        }
        // Its place in the order stays, and means nothing when its turn comes.
        if let Some(ends) = self.known.remove(&facts.key) {
            facts.owners = ends.owners;
            facts.names = ends.names;
        }
    }

    fn ends(&mut self, key: ConnectionKey) -> &mut Ends {
        if !self.known.contains_key(&key) {
            while self.order.len() >= MOST {
                if let Some(oldest) = self.order.pop_front() {
                    self.known.remove(&oldest);
                }
            }
            self.order.push_back(key);
        }
        self.known.entry(key).or_default()
    }
}
