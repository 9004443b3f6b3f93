//! Every parser, told at random: what the fuzz targets do, without a fuzzer.

use l7trace_protocol::REGISTRY;
use l7trace_testkit::fuzz::parser;
use l7trace_testkit::script::Random;

/// Pieces of every protocol, so that chance gets beyond the first byte.
const PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0\0\x04\x01\x05\0\0\0\x01\x82\x86\x84\x41",
    b"\0\0\0\x04\0\0\0\0\0",
    b"\x81\x85\x01\x02\x03\x04iglhn",
    b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab",
    b"\x32\x07\0\x01a\0\x07hi",
    b"\x40\x02\0\x07",
    b"AMQP\0\0\x09\x01",
    b"\x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce",
    b"\x03\0\x01\0\0\0\x02hi\xce",
    b"220 x ESMTP\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n",
    b"250 ok\r\n354 go\r\n",
    b"\r\n.\r\n",
];

#[test]
fn no_parser_panics_grows_or_depends_on_cuts() {
    for protocol in REGISTRY {
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let mut data = vec![random.number() as u8];
            while data.len() < 400 {
                let piece: Vec<u8> = if random.below(4) == 0 {
                    (0..random.below(20)).map(|_| random.number() as u8).collect()
                } else {
                    PIECES[random.below(PIECES.len() as u64) as usize].to_vec()
                };
                // A step's head, with a length that mostly fits.
                let what = if random.below(8) == 0 {
                    random.number() as u8
                } else {
                    0b1111_0000 | (random.number() as u8 & 1)
                };
                data.extend([what, piece.len() as u8]);
                data.extend(piece);
            }
            parser(protocol.name(), &data);
        }
    }
}

#[test]
fn what_lies_beyond_the_limit_of_a_head_has_no_say() {
    l7trace_testkit::fuzz::http1(&[&b"\x86\x86"[..], &[b'N'; 121][..], b"\x86\x09\x39\x0b\x2e\x0a\x0d\x3b"].concat());
}
