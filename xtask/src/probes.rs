//! Builds `crates/probes/bpf/*.bpf.c` into `crates/probes/objects/`.
//!
//! The same sources give the same bytes wherever they are built: clang and its version are fixed,
//! paths are relative to the sources' folder, DWARF is stripped (BTF stays, as the loader needs it).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

const CLANG: &str = "clang-19";
const STRIP: &str = "llvm-strip-19";

/// Rust's name of an architecture, and libbpf's.
const ARCHITECTURES: [(&str, &str); 2] = [("x86_64", "x86"), ("aarch64", "arm64")];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let check = match arguments {
        [] => false,
        [option] if option == "--check" => true,
        _ => bail!("usage: cargo xtask probes [--check]"),
    };
    let crate_folder = crate::tools::root().join("crates/probes");
    let committed = crate_folder.join("objects");
    let built = if check { crate::tools::root().join("target/probes") } else { committed.clone() };

    let mut differing = Vec::new();
    for (architecture, target) in ARCHITECTURES {
        fs::create_dir_all(built.join(architecture))?;
        for source in sources(&crate_folder.join("bpf"))? {
            let name = Path::new(architecture).join(&source).with_extension("").with_extension("o");
            build(&crate_folder.join("bpf"), &source, target, &built.join(&name))?;
            if check && fs::read(built.join(&name))? != fs::read(committed.join(&name)).unwrap_or_default() {
                differing.push(name.display().to_string());
            }
        }
    }
    ensure!(
        differing.is_empty(),
        "these committed objects differ from what their sources build to: {}; run `cargo xtask probes` and commit them",
        differing.join(", ")
    );
    Ok(())
}

/// The names of the sources, in order.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = PathBuf::from(entry?.file_name());
        if name.to_string_lossy().ends_with(".bpf.c") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn build(folder: &Path, source: &Path, target: &str, object: &Path) -> anyhow::Result<()> {
    // v3 of the instruction set (Linux 5.1) has 32-bit arithmetic and comparisons.
    let mut clang = Command::new(CLANG);
    clang.current_dir(folder).args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-std=gnu17"]);
    clang.args(["-Wall", "-Wextra", "-Werror", "-fno-ident", "-ffile-prefix-map=./="]);
    clang.arg(format!("-fdebug-compilation-dir={}", "/l7trace/probes"));
    clang.arg(format!("-D__TARGET_ARCH_{target}")).arg("-c").arg(source).arg("-o").arg(object);
    succeed(&mut clang, "install it with `apt-get install clang-19 libbpf-dev`")?;
    succeed(Command::new(STRIP).arg("-g").arg(object), "install it with `apt-get install llvm-19`")
}

fn succeed(command: &mut Command, hint: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}: {hint}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
