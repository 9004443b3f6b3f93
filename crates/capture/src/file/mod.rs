//! Source `file`: capture files become events.
//!
//! The tap reads pcap and pcapng in whole records, from disk, from a pipe as they arrive, or
//! out of gzip; the decoder reads each packet like a live one.
//!
//! Own readers rather than pcap-parser, which is no faster, and neither hands its buffer on nor says
//! at which byte a capture breaks off; the tests hold the two against each other.

mod decoder;
mod format;
mod frame;
mod input;
mod pcap;
mod pcapng;
mod tap;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::{Error, Source};
pub use frame::Frame;

/// Opens capture files as one trace, in the order given; `-` is standard input.
///
/// # Errors
/// Where a file cannot be opened, or is no capture, or one of packets that cannot be read.
pub fn open(paths: &[PathBuf]) -> Result<Source, Error> {
    for path in paths {
        tap::probe(path)?;
    }
    let description = match paths {
        [one] if one.as_os_str() == "-" => "standard input".to_owned(),
        [one] => one.display().to_string(),
        all => format!("{} capture files", all.len()),
    };
    Ok(Source {
        tap: Box::new(tap::FileTap::new(paths)),
        decoder: Box::new(decoder::FileDecoder::default()),
        description,
    })
}

/// A capture file's bytes as a source.
pub(crate) fn open_bytes(bytes: Vec<u8>) -> Source {
    Source {
        tap: Box::new(tap::FileTap::of_bytes(bytes)),
        decoder: Box::new(decoder::FileDecoder::default()),
        description: "captured bytes".to_owned(),
    }
}
