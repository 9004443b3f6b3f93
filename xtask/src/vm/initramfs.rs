//! A root file system for a virtual machine, as the kernel unpacks it (`Documentation/driver-api/early-userspace`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::tools;

/// A cpio archive in the "newc" format.
#[derive(Default)]
pub(crate) struct Initramfs {
    archive: Vec<u8>,
    names: Vec<String>,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

impl Initramfs {
    /// Adds an empty folder and those above it.
    pub(crate) fn folder(&mut self, name: &str) {
        let mut path = String::new();
        for part in name.split('/') {
            path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
            self.entry(&path.clone(), FOLDER, &[]);
        }
    }

    /// Adds a file that may be run.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, PROGRAM, content);
    }

    /// Adds another name of a file.
    pub(crate) fn link(&mut self, name: &str, target: &str) {
        self.entry(name, LINK, target.as_bytes());
    }

    /// Adds a program of this machine, without what only debuggers read, and the libraries that it is
    /// linked with.
    pub(crate) fn program(&mut self, name: &str, program: &Path, scratch: &Path) -> anyhow::Result<()> {
        let stripped = scratch.join("stripped");
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).output();
        let smaller = strip.is_ok_and(|output| output.status.success());
        let from = if smaller { &stripped } else { program };
        self.file(name, &fs::read(from).with_context(|| format!("cannot read {}", from.display()))?);
        for library in libraries(program)? {
            let name = library.to_string_lossy().trim_start_matches('/').to_owned();
            if !self.names.contains(&name) {
                self.file(&name, &fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?);
            }
        }
        Ok(())
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.archive
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        self.names.push(name.to_owned());
        let inode = self.names.len();
        let fields = [inode, mode as usize, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0];
        self.archive.extend_from_slice(b"070701");
        for field in fields {
            self.archive.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.archive.extend_from_slice(name.as_bytes());
        self.archive.push(0);
        self.pad();
        self.archive.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }
}

/// What a program is linked with; nothing for one that stands alone.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !tools::has("ldd") {
        anyhow::bail!("ldd is missing (Debian: libc-bin)");
    }
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
