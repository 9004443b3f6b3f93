//! Four encoders' stories, made by others: whole, and joined at every block.

use std::path::Path;

use super::{Decoder, Scratch};

struct Case {
    block: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

#[test]
fn stories_decode_whole_and_honestly_from_every_block_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/hpack");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/hpack");
    let Some(folder) = [folder, other].into_iter().find(|folder| folder.is_dir()) else {
        println!("skipped: ../shared/hpack is not at hand");
        return;
    };
    let mut stories = 0;
    let mut whole = 0;
    // By how many blocks after the cut: fields given, and fields known.
    let mut after_cut = [(0u64, 0u64); 8];
    for encoder in folders(&folder) {
        let (mut fields, mut known) = (0u64, 0u64);
        for story in folders(&encoder) {
            if story.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let cases = cases(&story);
            stories += 1;
            let mut decoder = Decoder::new();
            for case in &cases {
                let (given, right) = run(&mut decoder, case, &story);
                assert_eq!(given, right, "every field of {} is known", story.display());
                whole += given;
            }
            for cut in 1..cases.len() {
                let mut decoder = Decoder::late();
                for (index, case) in cases[cut..].iter().enumerate() {
                    let (given, right) = run(&mut decoder, case, &story);
                    fields += given;
                    known += right;
                    let place = &mut after_cut[index.min(7)];
                    place.0 += given;
                    place.1 += right;
                }
            }
        }
        let name = encoder.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: joined late, {:.2} % of {fields} fields known whole", share(fields, known));
    }
    println!("{stories} stories, {whole} fields, all right");
    for (index, (fields, known)) in after_cut.into_iter().enumerate() {
        println!(
            "block {}{} after a cut: {:.2} % known",
            index + 1,
            if index == 7 { "+" } else { "" },
            share(fields, known)
        );
    }
    assert!(stories > 100);
}

fn share(of: u64, part: u64) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

/// Decodes a case: how many fields it has, and how many are known whole. Those known must be right.
fn run(decoder: &mut Decoder, case: &Case, story: &Path) -> (u64, u64) {
    let (mut given, mut known) = (0, 0);
    let result = decoder.decode(&case.block, &mut Scratch::default(), |field| {
        let (name, value) = &case.fields[given as usize];
        assert!(field.name.is_none_or(|given| given == name), "{}: {field:?} is not {name:?}", story.display());
        assert!(field.value.is_none_or(|given| given == value), "{}: {field:?} is not {value:?}", story.display());
        given += 1;
        known += u64::from(field.name.is_some() && field.value.is_some());
    });
    assert_eq!(result, Ok(()), "{}", story.display());
    assert_eq!(given as usize, case.fields.len(), "{}", story.display());
    (given, known)
}

fn folders(of: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = match std::fs::read_dir(of) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    paths.sort();
    paths
}

fn cases(story: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(story).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = json["cases"].as_array().unwrap().iter().map(|case| Case {
        block: hex(case["wire"].as_str().unwrap()),
        fields: case["headers"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|field| field.as_object().unwrap())
            .map(field)
            .collect(),
    });
    cases.collect()
}

fn field((name, value): (&String, &serde_json::Value)) -> (Vec<u8>, Vec<u8>) {
    (name.clone().into_bytes(), value.as_str().unwrap().as_bytes().to_vec())
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}
