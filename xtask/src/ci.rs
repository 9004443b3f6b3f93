//! `cargo xtask ci`: everything that must hold.

use crate::{fuzz, probes, test, tools};

/// The crates that do no I/O: they must build where there is none.
const PURE: &[&str] = &["l7trace-event", "l7trace-stream", "l7trace-protocol", "l7trace-exchange"];

/// Runs every check; the first that fails ends it.
pub(crate) fn run(_: &[String]) -> anyhow::Result<()> {
    step("format");
    tools::run(tools::cargo().args(["fmt", "--all", "--check"]))?;
    step("clippy");
    tools::run(tools::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    step("tests");
    test::run(&[])?;
    step("documentation");
    tools::run(tools::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    step("no I/O in the pure crates");
    let mut build = tools::cargo();
    build.args(["check", "--target", "wasm32-unknown-unknown"]);
    for name in PURE {
        build.args(["--package", name]);
    }
    tools::run(&mut build)?;
    step("licences, bans, sources");
    tools::run(tools::cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
    if tools::run(tools::cargo().args(["deny", "check", "advisories"])).is_err() {
        println!("advisories: NOT CHECKED (their database cannot be reached, or see above)");
    }
    step("committed probes equal their source");
    probes::run(&["--check".to_owned()])?;
    step("fuzz targets, for a short while");
    let skipped = fuzz::try_all()?;
    match skipped {
        Some(why) => println!("\nall checks hold, 1 skipped: fuzz: {why}"),
        None => println!("\nall checks hold"),
    }
    Ok(())
}

fn step(name: &str) {
    println!("\n== {name}");
}
