use std::net::IpAddr;

use l7trace_event::{ConnectionKey, Endpoint, Tuple};

/// The connections that were asked for lately: a table of fixed size, in which newer connections
/// take the places of older ones. Being asked for again costs little.
#[derive(Debug)]
pub struct Asked {
    rows: Vec<[Option<ConnectionKey>; WAYS]>,
    turn: usize,
}

const ROWS: usize = 1 << 10;
const WAYS: usize = 4;

impl Default for Asked {
    fn default() -> Asked {
        Asked { rows: vec![[None; WAYS]; ROWS], turn: 0 }
    }
}

impl Asked {
    /// Whether the connection is in the table, in either direction.
    pub fn has(&self, tuple: &Tuple) -> bool {
        let (key, _) = tuple.connection();
        self.rows.get(row(&key)).is_some_and(|row| row.contains(&Some(key)))
    }

    /// Puts the connection into the table.
    pub fn insert(&mut self, tuple: Tuple) {
        let (key, _) = tuple.connection();
        let Some(row) = self.rows.get_mut(row(&key)) else { return };
        if row.contains(&Some(key)) {
            return;
        }
        self.turn = (self.turn + 1) % WAYS;
        let place = row.iter().position(Option::is_none).unwrap_or(self.turn);
        if let Some(place) = row.get_mut(place) {
            *place = Some(key);
        }
    }
}

/// Ports and the low bits of addresses tell connections apart well enough.
fn row(key: &ConnectionKey) -> usize {
    let [one, two] = key.ends.map(|end| low_bits(&end).wrapping_mul(0x9e37_79b9).wrapping_add(u32::from(end.port())));
    let mixed = (one.rotate_left(16) ^ two).wrapping_mul(0x85eb_ca6b);
    (mixed >> 20) as usize % ROWS
}

fn low_bits(end: &Endpoint) -> u32 {
    match end.ip() {
        Some(IpAddr::V4(ip)) => u32::from(ip),
        Some(IpAddr::V6(ip)) => u128::from(ip) as u32,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
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
