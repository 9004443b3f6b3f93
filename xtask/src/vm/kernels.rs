//! Kernels out of Debian's packages, through whatever mirror this machine's apt uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A line of kernels, the oldest first: Debian's suite that has it.
pub(crate) const SUITES: [&str; 4] = ["bullseye", "bookworm", "bookworm-backports", "sid"];

/// The package that depends on a suite's newest kernel for virtual machines.
const NEWEST: &str = "linux-image-cloud-amd64";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel on disk.
pub(crate) struct Kernel {
    /// The package that it came in.
    pub(crate) package: String,
    pub(crate) image: PathBuf,
}

/// Has the newest kernel of a suite below `folder`; what is there already is not fetched again.
pub(crate) fn fetch(suite: &str, folder: &Path) -> anyhow::Result<Kernel> {
    let apt = Apt::new(suite, &folder.join("apt").join(suite))?;
    let image = apt.depends(NEWEST, "linux-image-")?.with_context(|| format!("{suite} has no {NEWEST}"))?;
    // Since 7.x the image itself is in a package of its own.
    let package = apt.depends(&image, "linux-binary-")?.unwrap_or(image);
    let unpacked = folder.join(&package);
    if let Some(image) = image_in(&unpacked) {
        return Ok(Kernel { package, image });
    }
    let fresh = folder.join("fresh");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh)?;
    apt.run("apt-get", &["download", "-q", &package], &fresh)?;
    let file =
        fs::read_dir(&fresh)?.flatten().map(|entry| entry.path()).find(|path| path.extension() == Some("deb".as_ref()));
    let file = file.with_context(|| format!("apt-get downloaded no {package}"))?;
    run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
    let image = image_in(&unpacked).with_context(|| format!("{package} holds no kernel image"))?;
    Ok(Kernel { package, image })
}

/// The kernel in an unpacked package: `boot/vmlinuz-…`, or `usr/lib/modules/…/vmlinuz`.
fn image_in(unpacked: &Path) -> Option<PathBuf> {
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let in_boot = below(unpacked.join("boot"));
    let in_modules = below(unpacked.join("usr/lib/modules")).map(|folder| folder.join("vmlinuz"));
    let is_image = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    in_boot.chain(in_modules).find(|path| is_image(path) && path.is_file())
}

/// apt with one suite and lists of its own: this machine's stay as they are.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(suite: &str, folder: &Path) -> anyhow::Result<Apt> {
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(below))?;
        }
        let signed = if Path::new(KEYRING).is_file() { format!(" [signed-by={KEYRING}]") } else { String::new() };
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb{signed} {} {suite} main\n", mirror()?))?;
        fs::write(folder.join("status"), "")?;
        let mut options: Vec<String> = vec![
            "APT::Architecture=amd64".into(),
            "APT::Architectures=amd64".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Dir::Etc::sourceparts=/dev/null".into(),
        ];
        let paths = [
            ("Etc::sourcelist", "sources.list"),
            ("State::lists", "lists"),
            ("Cache", "cache"),
            ("State::status", "status"),
        ];
        options.extend(paths.map(|(name, below)| format!("Dir::{name}={}", folder.join(below).display())));
        let apt = Apt { options };
        apt.run("apt-get", &["update", "-q"], folder)?;
        Ok(apt)
    }

    fn run(&self, program: &str, arguments: &[&str], at: &Path) -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command.current_dir(at).args(self.options.iter().flat_map(|option| ["-o", option])).args(arguments);
        run(&mut command)
    }

    /// The first package that `package` depends on whose name begins so.
    fn depends(&self, package: &str, prefix: &str) -> anyhow::Result<Option<String>> {
        let text = self.run("apt-cache", &["depends", "--important", package], Path::new("/"))?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).find(|name| name.starts_with(prefix)))
    }
}

/// Where this machine's apt has Debian from.
fn mirror() -> anyhow::Result<String> {
    let text = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(SITE)",
        "Created-By: Packages",
    ]))?;
    let found = text.lines().find_map(|line| line.strip_prefix("Debian|Debian|"));
    found.map(str::to_owned).context("this machine's apt knows no mirror of Debian")
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
