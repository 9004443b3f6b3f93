//! Memory over minutes at full speed. Runs only when named.

use std::time::{Duration, Instant};

use super::load::{LOADS, cores};
use super::options::Options;
use super::stage::Stage;
use super::tool::{TOOLS, Tool};
use super::{Bench, process, server, stop};

fn engines(options: &Options) -> Vec<&'static Tool> {
    let chosen = |tool: &&Tool| {
        tool.is_ours() && ["l7trace packets", "l7trace sock"].contains(&tool.name) && options.wants(tool)
    };
    TOOLS.iter().filter(chosen).collect()
}

pub(crate) fn plan(options: &Options) -> (String, Duration) {
    let (engines, seconds) = (engines(options).len() as u64, options.seconds(600, 60));
    (format!("{engines} settings, {seconds} s each"), Duration::from_secs(engines * (seconds + 2)))
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stage = Stage::build("soak")?;
    let _nginx = server::Nginx::start(&stage, cores(), 4_000)?;
    let seconds = bench.options.seconds(600, 60);
    for tool in engines(&bench.options) {
        let tracing = tool.start_for_long(&bench.l7trace, &stage)?;
        let id = tracing.id();
        let begun = Instant::now();
        let samples = std::thread::scope(|scope| -> anyhow::Result<Vec<f64>> {
            let load = scope.spawn(|| LOADS[0].run(&stage, seconds));
            let mut samples = Vec::new();
            while !load.is_finished() && !stop::wanted() {
                std::thread::sleep(Duration::from_millis(1_000));
                samples.push(process::resident(id) as f64);
            }
            load.join().map_err(|_| anyhow::anyhow!("the load broke off"))??;
            Ok(samples)
        })?;
        let fifth = (samples.len() / 5).max(1);
        let largest = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
        let (early, late) = (
            largest(&samples[..fifth.min(samples.len())]),
            largest(&samples[samples.len() - fifth.min(samples.len())..]),
        );
        bench.record(
            ["soak", "soak", tool.name],
            &[
                ("early_memory_bytes", early),
                ("late_memory_bytes", late),
                ("growth_ratio", late / early),
                ("seconds", begun.elapsed().as_secs_f64()),
            ],
        );
        bench.print("soak", "soak", tool.name, &["early_memory_bytes", "late_memory_bytes", "growth_ratio", "seconds"]);
        tracing.end()?;
    }
    Ok(())
}
