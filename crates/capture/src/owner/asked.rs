use std::net::IpAddr;

use l7trace_event::{ConnectionKey, Endpoint, Tuple};

/// The connections that were asked for lately: a table of fixed size, in which a newer connection
/// takes the place of an older one. Being asked for again costs little.
#[derive(Debug)]
pub struct Asked {
    places: Vec<Option<ConnectionKey>>,
}

const PLACES: usize = 1 << 12;

impl Default for Asked {
    fn default() -> Asked {
        Asked { places: vec![None; PLACES] }
    }
}

impl Asked {
    /// Whether the connection is in the table, in either direction.
    pub fn has(&self, tuple: &Tuple) -> bool {
        let (key, _) = tuple.connection();
        self.places.get(place(&key)).is_some_and(|known| *known == Some(key))
    }

    /// Puts the connection into the table.
    pub fn insert(&mut self, tuple: Tuple) {
        let (key, _) = tuple.connection();
        if let Some(known) = self.places.get_mut(place(&key)) {
            *known = Some(key);
        }
    }
}

/// Ports and the low bits of addresses tell connections apart well enough.
fn place(key: &ConnectionKey) -> usize {
    let [one, two] = key.ends.map(|end| low_bits(&end).wrapping_mul(0x9e37_79b9).wrapping_add(u32::from(end.port())));
    let mixed = (one.rotate_left(16) ^ two).wrapping_mul(0x85eb_ca6b);
    (mixed >> 20) as usize % PLACES
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
        assert!(known > kept * 8 / 10, "{known} of {kept}: the table spreads badly");
    }
}
