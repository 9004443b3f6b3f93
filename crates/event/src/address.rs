use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One end of a connection: an IP address with its port, or one of the two ends of a Unix socket
/// pair, named by the kernel's identity of that socket (its paths travel beside, as [`What::Name`]).
///
/// IPv4 addresses and their IPv4-mapped IPv6 forms are the same endpoint.
///
/// [`What::Name`]: crate::What::Name
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// An IPv6 address (IPv4 in its mapped form), or the Unix socket's identity in the low half: first the
    /// high half, then the low one. Not one number, whose alignment would make an endpoint a third larger.
    address: [u64; 2],
    port: u16,
    unix: bool,
}

impl Endpoint {
    /// An internet endpoint; an IPv4-mapped IPv6 address becomes IPv4.
    #[inline]
    pub fn inet(ip: IpAddr, port: u16) -> Endpoint {
        let address = match ip {
            IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()),
            IpAddr::V6(ip) => u128::from(ip),
        };
        Endpoint { address: [(address >> 64) as u64, address as u64], port, unix: false }
    }

    /// One end of a Unix socket pair, by the identity that the kernel gives the socket.
    pub fn unix(identity: u64) -> Endpoint {
        Endpoint { address: [0, identity], port: 0, unix: true }
    }

    /// The address, IPv4 where it is one or maps one; none for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        if self.unix {
            return None;
        }
        let [high, low] = self.address;
        let ip = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
        Some(match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(ip),
        })
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this is an end of a Unix socket pair.
    pub fn is_unix(&self) -> bool {
        self.unix
    }

    /// The kernel's identity of a Unix socket.
    pub fn unix_identity(&self) -> Option<u64> {
        self.unix.then(|| self.address[1])
    }

    /// A number that two different endpoints hardly ever share, for tables; nothing lasting.
    pub fn mixed(&self) -> u64 {
        let [high, low] = self.address;
        let low = low ^ (u64::from(self.port) << 40) ^ (u64::from(self.unix) << 39);
        let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from((high ^ 0xd6e8_feb8_6659_fd93) | 1);
        let folded = (product >> 64) as u64 ^ product as u64;
        folded.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ (folded >> 29)
    }

    /// Whether the address means something only within one network namespace: loopback,
    /// link-local, or a Unix socket's identity (which is the host's: no namespace).
    #[inline]
    pub fn is_local(&self) -> bool {
        // On the bits, as this is asked twice a packet: 127.0.0.0/8, 169.254.0.0/16, ::1, fe80::/10.
        let [high, low] = self.address;
        let local = if high == 0 && low >> 32 == 0xffff {
            let ip = low as u32;
            ip >> 24 == 127 || ip >> 16 == 0xa9fe
        } else {
            high == 0 && low == 1 || high >> 54 == 0x3fa
        };
        local && !self.unix
    }
}

/// In as few steps as there can be: an endpoint is hashed for every event.
impl Hash for Endpoint {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [high, low] = self.address;
        state.write_u64(low);
        state.write_u64(high);
        state.write_u32(u32::from(self.port) | u32::from(self.unix) << 16);
    }
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint::inet(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
    }
}

/// `10.0.0.1:80`, `[::1]:80`, `unix:4711`.
impl fmt::Display for Endpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V4(ip)) => write!(to, "{ip}:{}", self.port),
            Some(IpAddr::V6(ip)) => write!(to, "[{ip}]:{}", self.port),
            None => write!(to, "unix:{}", self.address[1]),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

/// Where bytes came from and where they went, as one event saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The end that sent the bytes.
    pub source: Endpoint,
    /// The end that they were sent to.
    pub destination: Endpoint,
    /// The network namespace (its inode number) where an address is local to one, else 0: set by
    /// [`Tuple::new`].
    pub namespace: u32,
}

impl Tuple {
    /// A tuple that keeps `namespace` only where an address needs it, so that two witnesses in two
    /// namespaces name one connection alike.
    #[inline]
    pub fn new(source: Endpoint, destination: Endpoint, namespace: u32) -> Tuple {
        let local = source.is_local() || destination.is_local() || source == destination;
        Tuple { source, destination, namespace: if local { namespace } else { 0 } }
    }

    /// The same connection, seen from the other direction.
    #[inline]
    pub fn reversed(self) -> Tuple {
        Tuple { source: self.destination, destination: self.source, namespace: self.namespace }
    }

    /// The connection that this tuple names, and the side of it that sent.
    #[inline]
    pub fn connection(self) -> (ConnectionKey, Side) {
        if self.source <= self.destination {
            (ConnectionKey { ends: [self.source, self.destination], namespace: self.namespace }, Side::A)
        } else {
            (ConnectionKey { ends: [self.destination, self.source], namespace: self.namespace }, Side::B)
        }
    }
}

/// What names a connection, whichever witness saw it: both ends in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The lower end (side A) and the higher end (side B).
    pub ends: [Endpoint; 2],
    /// As in [`Tuple::namespace`].
    pub namespace: u32,
}

impl ConnectionKey {
    /// The endpoint of one side.
    pub fn end(&self, side: Side) -> Endpoint {
        self.ends[side.index()]
    }
}

/// One of the two ends of a connection, before it is known which is the client: `A` is the lower
/// endpoint. A direction of bytes is named by the side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The lower endpoint.
    A,
    /// The higher endpoint.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    /// 0 or 1, for tables by side.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The opposite end.
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_and_mapped_addresses_name_one_connection() {
        let v4 = Endpoint::inet("10.0.0.1".parse().unwrap(), 80);
        let mapped = Endpoint::inet("::ffff:10.0.0.1".parse().unwrap(), 80);
        let client = Endpoint::inet("10.0.0.2".parse().unwrap(), 4000);
        assert_eq!(v4, mapped);
        assert_eq!(mapped.to_string(), "10.0.0.1:80");
        let there = Tuple::new(client, v4, 7);
        let (key, side) = there.connection();
        let (same, other) = there.reversed().connection();
        assert_eq!((key, side.other()), (same, other));
        assert_eq!(key.namespace, 0, "a routable address needs no namespace");
    }

    #[test]
    fn local_addresses_are_those_of_the_standard_library() {
        let check = |text: &str, local: bool| {
            let end = Endpoint::inet(text.parse().unwrap(), 80);
            assert_eq!(end.is_local(), local, "{text}");
        };
        check("127.0.0.1", true);
        check("127.255.255.255", true);
        check("126.255.255.255", false);
        check("169.254.1.1", true);
        check("169.253.1.1", false);
        check("::ffff:127.0.0.1", true);
        check("::1", true);
        check("::2", false);
        check("fe80::1", true);
        check("febf::1", true);
        check("fec0::1", false);
        check("10.0.0.1", false);
        assert!(!Endpoint::unix(1).is_local());
    }

    #[test]
    fn loopback_belongs_to_its_namespace() {
        let end = |port| Endpoint::inet("127.0.0.1".parse().unwrap(), port);
        let (one, _) = Tuple::new(end(1), end(2), 7).connection();
        let (two, _) = Tuple::new(end(1), end(2), 8).connection();
        assert_ne!(one, two);
    }
}
