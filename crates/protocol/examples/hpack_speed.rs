//! Header blocks decoded per second, by l7trace's decoder and by the `hpack` crate's.
//!
//! `cargo run --release -p l7trace-protocol --example hpack_speed [FOLDER OF STORIES]`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use l7trace_protocol::http2::hpack::{Decoder, Scratch};

fn main() {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/hpack"));
    for encoder in folders(&folder) {
        let stories: Vec<Vec<Vec<u8>>> = folders(&encoder).iter().filter_map(|path| story(path)).collect();
        let bytes: usize = stories.iter().flatten().map(Vec::len).sum();
        if bytes == 0 {
            continue;
        }
        let mut text = 0usize;
        let mut scratch = Scratch::default();
        let ours = rate(bytes, || {
            text = 0;
            for story in &stories {
                let mut decoder = Decoder::new();
                for block in story {
                    let _ = decoder.decode(block, &mut scratch, |field| {
                        text += field.name.map_or(0, <[u8]>::len) + field.value.map_or(0, <[u8]>::len);
                    });
                }
            }
        });
        let mut other = 0usize;
        let theirs = rate(bytes, || {
            other = 0;
            for story in &stories {
                let mut decoder = hpack::Decoder::new();
                for block in story {
                    let _ = decoder.decode_with_cb(block, |name, value| other += name.len() + value.len());
                }
            }
        });
        println!(
            "{:32} {:8} bytes of blocks, {:9} of fields: {ours:7.1} MB/s of blocks ({:7.1} of fields), hpack crate {theirs:6.1}, ratio {:.1}",
            encoder.file_name().unwrap_or_default().to_string_lossy(),
            bytes,
            text,
            ours * text as f64 / bytes as f64,
            ours / theirs,
        );
        assert_eq!(text, other);
    }
}

/// Megabytes a second, the best of several runs.
fn rate(bytes: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    bytes as f64 / best / 1e6
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn story(path: &Path) -> Option<Vec<Vec<u8>>> {
    let text = std::fs::read_to_string(path).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    let blocks = json["cases"].as_array()?.iter().filter_map(|case| hex(case["wire"].as_str()?));
    Some(blocks.collect())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}
