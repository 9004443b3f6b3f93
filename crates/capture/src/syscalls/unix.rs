use hashbrown::HashMap;
use l7trace_event::Endpoint;

/// The Unix connections: which two sockets belong together, and who counts their bytes.
///
/// There are no sequence numbers. Each socket's bytes are counted by the kernel programs from when
/// they first met it: from the stream's beginning where that was after tracing began. Two sockets
/// that both count from the beginning name the same bytes by the same numbers, as in TCP; of others
/// one speaks for each direction and the other is not heard.
#[derive(Debug, Default)]
pub(super) struct UnixPairs {
    /// By what the kernel says of the two sockets, the lower first.
    pairs: HashMap<[u64; 2], Pair>,
}

#[derive(Debug)]
struct Pair {
    ends: [Endpoint; 2],
    /// The inode numbers, 0 where not known yet.
    inodes: [u64; 2],
    /// The ids under which the kernel knows the sockets, 0 where it does not.
    ids: [u64; 2],
    /// By the end that sends.
    speakers: [Option<Speaker>; 2],
    /// By the end that sends: the position after the last byte.
    reached: [u32; 2],
}

/// Whose count of a direction's bytes is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// That of every socket that counts from the beginning.
    Beginning,
    /// That of the socket with this id.
    Socket(u64),
}

/// One end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pair: [u64; 2],
    which: usize,
    id: u64,
    /// Whether its counts began where the streams did.
    born: bool,
    /// What to add to its counts: what it sent, what it received.
    offsets: [u32; 2],
}

/// In an identity that is no inode number: the other end of the one that has it.
const OTHER_END: u64 = 1 << 63;

impl UnixPairs {
    /// The end that a socket is, and the two endpoints: its own, its peer's.
    pub(super) fn meet(&mut self, id: u64, born: bool, local: [u64; 2], remote: [u64; 2]) -> (End, [Endpoint; 2]) {
        let which = usize::from(local[1] > remote[1]);
        let key = if which == 0 { [local[1], remote[1]] } else { [remote[1], local[1]] };
        let mut inodes = [local[0], remote[0]];
        if which == 1 {
            inodes.reverse();
        }
        let same = |pair: &&mut Pair| {
            (0..2).all(|end| pair.inodes[end] == inodes[end] || pair.inodes[end] == 0 || inodes[end] == 0)
        };
        let mut end = End { pair: key, which, id, born, offsets: [0; 2] };
        if let Some(pair) = self.pairs.get_mut(&key).filter(same) {
            for (known, told) in pair.inodes.iter_mut().zip(inodes) {
                *known = (*known).max(told);
            }
            if pair.ids[which] != 0 && pair.ids[which] != id {
                pair.restart(&mut end);
            }
            pair.ids[which] = id;
            return (end, [pair.ends[which], pair.ends[1 - which]]);
        }
        let own = Endpoint::unix(local[0]);
        let peer = Endpoint::unix(if remote[0] != 0 { remote[0] } else { local[0] | OTHER_END });
        let ends = if which == 0 { [own, peer] } else { [peer, own] };
        let mut ids = [0; 2];
        ids[which] = id;
        self.pairs.insert(key, Pair { ends, inodes, ids, speakers: [None; 2], reached: [0; 2] });
        (end, [own, peer])
    }

    /// The position to give bytes that a socket counted at `position`; none where another speaks.
    pub(super) fn position(&mut self, end: &End, received: bool, position: u32, length: u32) -> Option<u32> {
        let pair = self.pairs.get_mut(&end.pair)?;
        let direction = if received { 1 - end.which } else { end.which };
        let own = if end.born { Speaker::Beginning } else { Speaker::Socket(end.id) };
        if *pair.speakers[direction].get_or_insert(own) != own {
            return None;
        }
        let position = position.wrapping_add(end.offsets[usize::from(received)]);
        let after = position.wrapping_add(length);
        if (after.wrapping_sub(pair.reached[direction]) as i32) > 0 {
            pair.reached[direction] = after;
        }
        Some(position)
    }

    /// The position up to which a socket that has read `received` bytes has read.
    pub(super) fn acknowledged(&self, end: &End, received: u32) -> Option<u32> {
        let pair = self.pairs.get(&end.pair)?;
        let own = if end.born { Speaker::Beginning } else { Speaker::Socket(end.id) };
        let heard = pair.speakers[1 - end.which].is_none_or(|speaker| speaker == own);
        heard.then(|| received.wrapping_add(end.offsets[1]))
    }

    /// The position after the last byte of a direction.
    pub(super) fn reached(&self, end: &End, received: bool) -> u32 {
        let direction = if received { 1 - end.which } else { end.which };
        self.pairs.get(&end.pair).map_or(0, |pair| pair.reached[direction])
    }

    /// Forgets every pair of which `keep` keeps no socket.
    pub(super) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.pairs.retain(|_, pair| pair.ids.iter().any(|id| *id != 0 && keep(*id)));
    }
}

impl Pair {
    /// A socket is known to the kernel by a new id, as it had been forgotten there: its counts begin
    /// at 0 again, and go on from where the directions stand. It alone speaks from now on.
    fn restart(&mut self, end: &mut End) {
        end.born = false;
        end.offsets = [self.reached[end.which], self.reached[1 - end.which]];
        self.speakers = [Some(Speaker::Socket(end.id)); 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_that_began_after_the_tracer_agree() {
        let mut pairs = UnixPairs::default();
        // The client speaks before the server has accepted, whose socket has no inode yet.
        let (client, ends) = pairs.meet(1, true, [100, 0xa], [0, 0xb]);
        assert_eq!(pairs.position(&client, false, 0, 10), Some(0));
        let (server, reversed) = pairs.meet(2, true, [200, 0xb], [100, 0xa]);
        assert_eq!(ends, [reversed[1], reversed[0]]);
        assert_eq!(pairs.position(&server, true, 0, 10), Some(0));
        assert_eq!(pairs.acknowledged(&server, 10), Some(10));
        // The same two places in memory, used again: another connection.
        let (_, others) = pairs.meet(3, true, [101, 0xa], [0, 0xb]);
        assert_ne!(ends, others);
    }

    #[test]
    fn of_ends_that_were_met_midway_one_speaks() {
        let mut pairs = UnixPairs::default();
        let (one, _) = pairs.meet(1, false, [100, 0xa], [200, 0xb]);
        let (two, _) = pairs.meet(2, false, [200, 0xb], [100, 0xa]);
        assert_eq!(pairs.position(&one, false, 0, 10), Some(0));
        assert_eq!(pairs.position(&two, true, 0, 10), None);
        assert_eq!(pairs.acknowledged(&two, 10), None);
        assert_eq!(pairs.reached(&two, true), 10);
        // The kernel forgot one, and met it again.
        let (one, _) = pairs.meet(3, true, [100, 0xa], [200, 0xb]);
        assert_eq!(pairs.position(&one, false, 0, 5), Some(10));
    }
}
