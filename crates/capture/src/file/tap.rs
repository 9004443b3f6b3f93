use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::{Format, Parsed, Wrong};
use super::frame::Frame;
use super::input::{Came, Input};
use crate::{Batch, Error, Filled, Tap};

/// Reads capture files one after another, in whole records.
pub(super) struct FileTap {
    waiting: VecDeque<PathBuf>,
    open: Option<Reading>,
    frames: Vec<Frame>,
    warnings: Vec<String>,
    error: Option<Error>,
}

/// A file that is being read.
struct Reading {
    path: PathBuf,
    input: Input,
    format: Format,
    /// What was read and not yet handed on.
    buffer: Vec<u8>,
    /// How much of `buffer` is parsed.
    parsed: usize,
    /// Where in the file `buffer` begins.
    offset: u64,
    /// How many bytes must be there, from `parsed` on, before parsing makes sense.
    needs: usize,
    /// How many of the bytes to come are passed over.
    passes: u64,
    compressed: bool,
}

impl FileTap {
    pub(super) fn new(paths: &[PathBuf]) -> FileTap {
        FileTap {
            waiting: paths.iter().cloned().collect(),
            open: None,
            frames: Vec::new(),
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Reads one capture that is at hand.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> FileTap {
        let reading = Reading::new("captured bytes".into(), Input::Reader(Box::new(std::io::Cursor::new(bytes))));
        FileTap { open: Some(reading), ..FileTap::new(&[]) }
    }

    /// Reads one capture from a pipe.
    #[cfg(test)]
    pub(super) fn of_stream(file: std::fs::File) -> FileTap {
        let reading = Reading::new("a pipe".into(), Input::Stream(file));
        FileTap { open: Some(reading), ..FileTap::new(&[]) }
    }

    /// Ends the current file for good.
    fn close(&mut self, end: Result<(), Wrong>) {
        let Some(reading) = self.open.take() else { return };
        let name = name(&reading.path);
        for remark in reading.format.remarks() {
            self.warnings.push(format!("{name} {remark}"));
        }
        match end {
            Ok(()) => {}
            Err(Wrong::NoCapture(what)) => self.error = Some(Error::Failed(format!("{name} {what}"))),
            Err(Wrong::Broken(what)) => {
                let at = reading.offset + reading.parsed as u64;
                let of = if reading.compressed { " of what is compressed in it" } else { "" };
                let warning = format!("{name} breaks off at byte {at}{of}: {what}; everything before it was read");
                self.warnings.push(warning);
            }
        }
    }
}

impl Tap for FileTap {
    fn fill(&mut self, batch: &mut Batch, timeout: Duration) -> Result<Filled, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(reading) = &mut self.open else {
            let Some(path) = self.waiting.pop_front() else {
                batch.warnings.append(&mut self.warnings);
                return Ok(if batch.warnings.is_empty() { Filled::End } else { Filled::Some });
            };
            self.open = Some(Reading::open(&path)?);
            return Ok(Filled::Some);
        };
        let end = match reading.advance(&mut self.frames, timeout) {
            Ok(Came::End) => Some(reading.format.end(reading.buffer.len() - reading.parsed)),
            Ok(Came::Some) => None,
            Ok(Came::Nothing) => return Ok(Filled::Nothing),
            Err(wrong) => Some(Err(wrong)),
        };
        reading.hand_over(&mut self.frames, batch);
        if let Some(end) = end {
            self.close(end);
        }
        batch.warnings.append(&mut self.warnings);
        Ok(Filled::Some)
    }
}

impl Reading {
    fn open(path: &Path) -> Result<Reading, Error> {
        let input = Input::open(path).map_err(|error| Error::Failed(format!("cannot open {}: {error}", name(path))))?;
        Ok(Reading::new(path.to_owned(), input))
    }

    fn new(path: PathBuf, input: Input) -> Reading {
        Reading {
            path,
            input,
            format: Format::Unknown,
            buffer: Vec::new(),
            parsed: 0,
            offset: 0,
            needs: 4,
            passes: 0,
            compressed: false,
        }
    }

    /// Reads once, and takes every whole record of it.
    fn advance(&mut self, frames: &mut Vec<Frame>, timeout: Duration) -> Result<Came, Wrong> {
        let came = match self.input.read(&mut self.buffer, timeout) {
            Ok(came) => came,
            Err(error) => return Err(Wrong::Broken(error.to_string())),
        };
        if came != Came::Some {
            return match (came, self.passes) {
                (Came::End, 1..) => Err(Wrong::Broken("the last block is cut off".to_owned())),
                _ => Ok(came),
            };
        }
        if !self.compressed && matches!(self.format, Format::Unknown) && self.buffer.starts_with(&[0x1f, 0x8b]) {
            self.compressed = true;
            let first = std::mem::take(&mut self.buffer);
            let outer = std::mem::replace(&mut self.input, Input::Reader(Box::new(std::io::empty())));
            self.input = outer.gunzip(first);
            return Ok(Came::Some);
        }
        self.parse(frames)?;
        Ok(Came::Some)
    }

    fn parse(&mut self, frames: &mut Vec<Frame>) -> Result<(), Wrong> {
        loop {
            let left = self.buffer.len() - self.parsed;
            if self.passes > 0 {
                let passed = usize::try_from(self.passes).unwrap_or(usize::MAX).min(left);
                self.parsed += passed;
                self.passes -= passed as u64;
                if self.passes > 0 {
                    return Ok(());
                }
                continue;
            }
            if left < self.needs {
                return Ok(());
            }
            self.needs = 0;
            match self.format.parse(&self.buffer, self.parsed, frames)? {
                Parsed::Took(count) => self.parsed += count,
                Parsed::Needs(count) => self.needs = count,
                Parsed::Passes(count) => self.passes = count,
            }
        }
    }

    /// Moves what is parsed into the batch; what is left over is kept for the next time.
    fn hand_over(&mut self, frames: &mut Vec<Frame>, batch: &mut Batch) {
        if frames.is_empty() && self.parsed == 0 {
            return;
        }
        let left = self.buffer.get(self.parsed..).unwrap_or_default();
        if batch.bytes.is_empty() && !frames.is_empty() {
            batch.bytes.extend_from_slice(left);
            std::mem::swap(&mut batch.bytes, &mut self.buffer);
            batch.bytes.truncate(self.parsed);
            batch.frames.append(frames);
        } else {
            if !frames.is_empty() {
                let before = batch.bytes.len();
                batch.bytes.extend_from_slice(self.buffer.get(..self.parsed).unwrap_or_default());
                batch.frames.extend(frames.drain(..).map(|frame| frame.shifted(before)));
            }
            self.buffer.drain(..self.parsed);
        }
        self.offset += self.parsed as u64;
        self.parsed = 0;
    }
}

/// Checks what can be checked of a file before it is read: that it is there, and a capture.
pub(super) fn probe(path: &Path) -> Result<(), Error> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let mut reading = Reading::open(path)?;
    if reading.input.is_stream() {
        return Ok(());
    }
    let mut frames = Vec::new();
    loop {
        match reading.advance(&mut frames, Duration::ZERO) {
            Err(Wrong::NoCapture(what)) => return Err(Error::Failed(format!("{} {what}", name(path)))),
            Ok(Came::Some) if matches!(reading.format, Format::Unknown) => {}
            Ok(Came::End) => {
                return match reading.format.end(reading.buffer.len() - reading.parsed) {
                    Err(Wrong::NoCapture(what)) => Err(Error::Failed(format!("{} {what}", name(path)))),
                    _ => Ok(()),
                };
            }
            _ => return Ok(()),
        }
    }
}

fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}
