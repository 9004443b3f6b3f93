use l7trace_event::Tuple;

/// The connections that were asked for lately: a table of fixed size, in which newer connections
/// take the places of older ones. Being asked for again costs little; that one is taken for another
/// and not asked for is as rare as two fingerprints of 64 bits being alike.
#[derive(Debug)]
pub struct Asked {
    rows: Vec<[u64; WAYS]>,
    turn: usize,
}

const ROWS: usize = 1 << 10;
const WAYS: usize = 4;

impl Default for Asked {
    fn default() -> Asked {
        Asked { rows: vec![[0; WAYS]; ROWS], turn: 0 }
    }
}

impl Asked {
    /// Whether the connection is in the table, in either direction.
    pub fn has(&self, tuple: &Tuple) -> bool {
        let print = fingerprint(tuple);
        self.rows.get(row(print)).is_some_and(|row| row.contains(&print))
    }

    /// Puts the connection into the table.
    pub fn insert(&mut self, tuple: Tuple) {
        let print = fingerprint(&tuple);
        let Some(row) = self.rows.get_mut(row(print)) else { return };
        if row.contains(&print) {
            return;
        }
        self.turn = (self.turn + 1) % WAYS;
        let place = row.iter().position(|known| *known == 0).unwrap_or(self.turn);
        if let Some(place) = row.get_mut(place) {
            *place = print;
        }
    }
}

/// The same for both directions.
fn fingerprint(tuple: &Tuple) -> u64 {
    tuple.source.mixed().wrapping_add(tuple.destination.mixed()) | 1
}

fn row(fingerprint: u64) -> usize {
    (fingerprint >> 40) as usize % ROWS
}

#[cfg(test)]
mod tests {
    use l7trace_event::Endpoint;

    use super::*;

    #[test]
    fn knows_either_direction_and_forgets_by_replacing() {
        let tuple = |port: u16| {
            let end = |port| Endpoint::inet([10, 0, 0, 1].into(), port);
            Tuple::new(end(port), end(80), 0)
        };
        let mut asked = Asked::default();
        assert!(!asked.has(&tuple(4000)));
        asked.insert(tuple(4000));
        assert!(asked.has(&tuple(4000)) && asked.has(&tuple(4000).reversed()));
        let kept = (1000..1500).inspect(|port| asked.insert(tuple(*port))).count();
        let known = (1000..1500).filter(|port| asked.has(&tuple(*port))).count();
        assert_eq!(known, kept, "the table spreads badly");
    }
}
