use std::io::Write as _;

use flate2::Compression;

use super::*;

const TEXT: &[u8] = b"so much depends upon a red wheel barrow glazed with rain water beside the white chickens";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("poem")
        .comment("short")
        .extra(*b"xyz")
        .write(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn raw(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

/// [`TEXT`], by the reference encoder.
const BROTLI: &[u8] = &[
    0x1b, 0x57, 0x00, 0xe0, 0x45, 0x37, 0x97, 0xea, 0x72, 0x55, 0x1c, 0x06, 0x45, 0x61, 0x86, 0xc3, 0x9d, 0x72, 0xc0,
    0x5e, 0x8b, 0x02, 0x2b, 0x8b, 0xf0, 0x8e, 0x87, 0x8d, 0xb1, 0x37, 0xed, 0x4a, 0x10, 0x49, 0x42, 0x8f, 0xfb, 0x40,
    0x7c, 0x06, 0x56, 0x0c, 0x65, 0x7c, 0xdc, 0xa4, 0x7d, 0xc8, 0xb6, 0xcf, 0x40, 0x1a, 0x44, 0x8a, 0xa0, 0xc0, 0x59,
    0x29, 0x12, 0x62, 0x4c, 0x80, 0x56, 0x9c, 0x03,
];

#[track_caller]
fn check(codings: &str, encoded: &[u8], complete: bool, limit: usize, expected: (&[u8], bool, &str)) {
    let decoded = decode(codings_in(codings.as_bytes()), encoded.to_vec(), complete, limit);
    let given = (
        decoded.body.escape_ascii().to_string(),
        decoded.truncated,
        decoded.note.map_or(String::new(), std::borrow::Cow::into_owned),
    );
    assert_eq!(given, (expected.0.escape_ascii().to_string(), expected.1, expected.2.to_owned()), "{codings}");
}

#[test]
fn undoes_each_coding() {
    let two_members = [gzip(TEXT), gzip(TEXT)].concat();
    let twice = [TEXT, TEXT].concat();
    check("gzip", &gzip(TEXT), true, 1000, (TEXT, false, ""));
    check("x-GZip", &two_members, true, 1000, (&twice, false, ""));
    check("deflate", &zlib(TEXT), true, 1000, (TEXT, false, ""));
    check("deflate", &raw(TEXT), true, 1000, (TEXT, false, ""));
    check("zstd", &zstd(TEXT), true, 1000, (TEXT, false, ""));
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(TEXT), &zstd(TEXT)].concat();
    check("zstd", &skippable, true, 1000, (&twice, false, ""));
    check("identity, ,", TEXT, true, 1000, (TEXT, false, ""));
}

#[test]
fn undoes_chains_from_the_last() {
    check("gzip, zstd", &zstd(&gzip(TEXT)), true, 1000, (TEXT, false, ""));
    check("deflate ,gzip,identity", &gzip(&zlib(TEXT)), true, 1000, (TEXT, false, ""));
    check("foo, gzip", &gzip(TEXT), true, 1000, (TEXT, false, "content coding foo is not known: body as sent"));
    let many = ["gzip"; 9].join(",");
    check(&many, TEXT, true, 1000, (TEXT, false, "too many content codings: body as sent"));
}

#[test]
fn gives_no_more_than_asked_for() {
    let bomb = vec![0; 20 << 20];
    let mut encoded = gzip(&bomb);
    assert!(encoded.len() < 24 << 10);
    check("gzip", &encoded, true, 3, (&[0; 3], true, ""));
    encoded = gzip(&encoded);
    check("gzip,gzip", &encoded, true, 3, (&[0; 3], true, ""));
    check("deflate", &raw(&bomb), true, 3, (&[0; 3], true, ""));
    check("zstd", &zstd(&bomb), true, 3, (&[0; 3], true, ""));
    check("gzip", &gzip(TEXT), true, TEXT.len(), (TEXT, false, ""));
    check("gzip", &gzip(TEXT), true, TEXT.len() - 1, (&TEXT[..TEXT.len() - 1], true, ""));
    check("", TEXT, true, 7, (b"so much", true, ""));
}

#[test]
fn says_what_is_wrong() {
    let mut wrong = gzip(TEXT);
    let end = wrong.len();
    wrong[end - 8] ^= 1;
    check("gzip", &wrong, true, 1000, (TEXT, false, "checksum of content coding gzip is wrong"));
    check("gzip", TEXT, true, 1000, (TEXT, false, "content coding gzip does not hold: body as sent"));
    check("zstd", TEXT, true, 1000, (TEXT, false, "content coding zstd does not hold: body as sent"));
    let trailing = [gzip(TEXT), b"..".to_vec()].concat();
    check("gzip", &trailing, true, 1000, (TEXT, false, "bytes after the end of content coding gzip"));
    let trailing = [zstd(TEXT), b"..".to_vec()].concat();
    check("zstd", &trailing, true, 1000, (TEXT, false, "bytes after the end of content coding zstd"));
    let trailing = [BROTLI, b".."].concat();
    check("br", &trailing, true, 1000, (TEXT, false, "bytes after the end of content coding br"));
}

#[test]
fn gives_what_decodes_of_a_cut_body() {
    let long: Vec<u8> = (0..40_000u32).flat_map(|number| format!("{} ", number * 7919 % 10_007).into_bytes()).collect();
    for (name, encoded) in [("gzip", gzip(&long)), ("deflate", zlib(&long)), ("zstd", zstd(&long))] {
        for cut in [0, 1, 3, 10, 1000, encoded.len() / 2, encoded.len() - 9, encoded.len() - 1] {
            let decoded = decode(codings_in(name.as_bytes()), encoded[..cut].to_vec(), false, usize::MAX / 4);
            assert!(decoded.truncated, "{name} {cut}");
            assert!(long.starts_with(&decoded.body), "{name} {cut}: {:?}", decoded.note);
            assert_eq!(decoded.note, None, "{name} {cut}");
            let cut_off = decode(codings_in(name.as_bytes()), encoded[..cut].to_vec(), true, usize::MAX / 4);
            let early = format!("content coding {name} ends early");
            assert!(cut == 0 || cut_off.note.is_some_and(|note| note == early), "{name} {cut}");
            if cut > encoded.len() - 10 {
                assert!(decoded.body.len() > long.len() / 2, "{name} {cut}: {}", decoded.body.len());
            }
        }
    }
}

#[test]
fn brotli_is_undone_and_cut() {
    check("br", BROTLI, true, 1000, (TEXT, false, ""));
    check("br", BROTLI, true, 7, (b"so much", true, ""));
    check("br", &BROTLI[..40], true, 5, (b"so mu", true, ""));
    check("br", &BROTLI[..40], false, 5, (b"so mu", true, ""));
    check("identity, br", &BROTLI[..BROTLI.len() - 1], true, 4, (b"so m", true, ""));
    check("gzip, br", BROTLI, true, 7, (b"so much", true, "content coding gzip does not hold: body as sent"));
    let odd = [0xff; 5];
    check("br", &odd, true, 1000, (&odd, false, "content coding br does not hold: body as sent"));
}

#[test]
fn mutated_bodies_do_no_harm() {
    let mut random = l7trace_testkit::script::Random::new(7);
    let content: Vec<u8> = (0..3000).map(|_| b'a' + random.below(5) as u8).collect();
    let sources = [gzip(&content), zlib(&content), raw(&content), zstd(&content), BROTLI.to_vec()];
    for round in 0..1000 {
        let mut encoded = sources[round % sources.len()].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(encoded.len() as u64) as usize;
            encoded[at] = random.number() as u8;
        }
        encoded.truncate(1 + random.below(encoded.len() as u64 * 2) as usize);
        for name in ["gzip", "deflate", "br", "zstd"] {
            let decoded = decode(codings_in(name.as_bytes()), encoded.clone(), round % 2 == 0, 10_000);
            assert!(decoded.body.len() <= 10_000);
        }
    }
}
