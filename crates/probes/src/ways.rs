//! Names for the two ways through a TCP connection, as the programs compute them: `bpf/ways.h`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

fn mix(one: u64, other: u64) -> u64 {
    let mut mixed = (one ^ (other >> 32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(other.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
    mixed ^= mixed >> 31;
    mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 29)
}

fn end(end: SocketAddr) -> u64 {
    let address = match end.ip() {
        IpAddr::V4(ip) => u64::from(u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => u64::from(u32::from_ne_bytes(ip.octets())),
            None => {
                let [upper, lower] = halves(ip);
                mix(upper, lower)
            }
        },
    };
    mix(address, u64::from(end.port()))
}

fn halves(ip: Ipv6Addr) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = ip.octets();
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// The number for what goes from one end to another, as the packets program names it.
pub fn way(from: SocketAddr, to: SocketAddr) -> u64 {
    mix(mix(end(from), end(to)), 0) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_within_ipv6_is_ipv4_and_ways_differ() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, other) = (end("10.0.0.1:80"), end("10.0.0.2:4000"));
        assert_eq!(way(one, other), way(end("[::ffff:10.0.0.1]:80"), other));
        assert_ne!(way(one, other), way(other, one));
        assert_ne!(way(end("[fd00::1]:80"), other), way(end("[fd00::2]:80"), other));
    }
}
