//! What the kernel says of its programs: `kernel.bpf_stats_enabled` and bpftool.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::process;
use super::store::Results;
use crate::tools;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Switches the counting on, and back when dropped.
pub(crate) struct Counting {
    before: String,
    /// The programs of others.
    others: Programs,
}

/// Of each program by its id: how long it ran and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(BTreeMap<u64, (u64, u64)>);

/// What programs did in a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    pub(crate) runs: u64,
}

impl Counting {
    /// None where this host cannot count, which is noted. To be begun before the tool is started.
    pub(crate) fn begin(results: &mut Results) -> anyhow::Result<Option<Counting>> {
        if !tools::has("bpftool") {
            return Ok(None);
        }
        let switched = fs::read_to_string(SWITCH).and_then(|before| fs::write(SWITCH, "1").map(|()| before));
        match switched {
            Ok(before) => {
                let mut counting = Counting { before, others: Programs::default() };
                counting.others = counting.programs()?;
                Ok(Some(counting))
            }
            Err(error) => {
                results.note(format!("the kernel does not count the time of its programs: {SWITCH}: {error}"));
                Ok(None)
            }
        }
    }

    /// What the programs have done until now that were loaded since counting began.
    pub(crate) fn programs(&self) -> anyhow::Result<Programs> {
        let bpftool = if fs::exists("/usr/sbin/bpftool").unwrap_or(false) { "/usr/sbin/bpftool" } else { "bpftool" };
        let mut command = Command::new(bpftool);
        let file = std::env::temp_dir().join(format!("l7trace-bench-{}-programs", std::process::id()));
        let list = fs::File::create(&file)?;
        let mut running = process::Running::start(command.args(["-j", "prog", "show"]).stdout(list))?;
        running.wait(Duration::from_secs(10))?;
        let text = fs::read_to_string(&file)?;
        super::remove_file(&file);
        let mut programs = programs(&text)?;
        programs.0.retain(|id, _| !self.others.0.contains_key(id));
        Ok(programs)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // It costs a little, no more, where it stays on.
        let _ = fs::write(SWITCH, &self.before);
    }
}

fn programs(text: &str) -> anyhow::Result<Programs> {
    let list: Value = serde_json::from_str(text).context("what bpftool said is not understood")?;
    let number = |program: &Value, name: &str| program[name].as_u64().unwrap_or(0);
    let programs = list.as_array().into_iter().flatten();
    Ok(Programs(
        programs
            .map(|program| (number(program, "id"), (number(program, "run_time_ns"), number(program, "run_cnt"))))
            .collect(),
    ))
}

impl Programs {
    /// What they did since then.
    pub(crate) fn since(&self, then: &Programs) -> Spent {
        let mut spent = Spent::default();
        for (id, (time, runs)) in &self.0 {
            let (time_before, runs_before) = then.0.get(id).copied().unwrap_or_default();
            spent.time += Duration::from_nanos(time.saturating_sub(time_before));
            spent.runs += runs.saturating_sub(runs_before);
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_differences() {
        let then =
            programs(r#"[{"id":1,"name":"a","run_time_ns":100,"run_cnt":2},{"id":2,"name":"never ran"}]"#).unwrap();
        let now =
            programs(r#"[{"id":1,"name":"a","run_time_ns":400,"run_cnt":5},{"id":2,"run_time_ns":7,"run_cnt":1}]"#)
                .unwrap();
        assert_eq!(now.since(&then), Spent { time: Duration::from_nanos(307), runs: 4 });
    }
}
