//! Counts the TCP segments of capture files: `segments [-v] [-w RECORDING] FILE…`; lists them (`-v`)
//! and records them (`-w`). For comparing with other readers, and for timing this one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use l7trace_capture::record::Recorder;
use l7trace_capture::{Batch, Filled};
use l7trace_event::What;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let verbose = paths.first().is_some_and(|path| path.as_os_str() == "-v");
    if verbose {
        paths.remove(0);
    }
    let mut recorder = None;
    if paths.first().is_some_and(|path| path.as_os_str() == "-w") && paths.len() > 1 {
        recorder = Some(Recorder::create(&paths[1])?);
        paths.drain(..2);
    }
    let mut failure = None;
    let begin = Instant::now();
    let mut source = l7trace_capture::file::open(&paths)?;
    let (mut segments, mut bytes, mut missing, mut batch) = (0u64, 0u64, 0u64, Batch::default());
    while source.tap.fill(&mut batch, Duration::from_secs(1))? != Filled::End {
        source.decoder.decode(&batch, &mut |event| {
            if let Some(Err(error)) = recorder.as_mut().map(|recorder| recorder.record(event)) {
                failure = Some(error);
            }
            if let What::Segment(segment) = &event.what {
                segments += 1;
                bytes += segment.bytes.len() as u64;
                missing += u64::from(segment.missing);
                if verbose {
                    println!(
                        "{} {} {} {} {} {}",
                        event.tuple.source,
                        event.tuple.destination,
                        segment.position,
                        segment.bytes.len() + segment.missing as usize,
                        segment.acknowledged.map_or("-".to_owned(), |position| position.to_string()),
                        segment.flags.0
                    );
                }
            } else if verbose {
                println!("{event:?}");
            }
        });
        batch.clear();
        for warning in source.decoder.warnings() {
            eprintln!("{warning}");
        }
    }
    if let Some(recorder) = recorder {
        recorder.finish()?;
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{segments} segments, {bytes} bytes, {missing} missing, in {seconds:.3} s");
    for (what, count) in source.decoder.not_understood() {
        println!("{count} {what}");
    }
    Ok(())
}
