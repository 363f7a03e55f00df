// SPDX-License-Identifier: GPL-2.0

//! Where the running kernel's files are: tracefs, debugfs and the module's own. Nothing is mounted.

use crate::exit::{Exit, Failure};
use crate::names;
use anyhow::Result;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const MODULE: &str = "/sys/module/page_pin_owner";
const MOUNTS: &str = "/proc/self/mounts";

/// An error of a file of the kernel's: with the exit code that suits it, and a sentence.
pub fn failed(error: &io::Error, what: impl std::fmt::Display) -> anyhow::Error {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::Failed,
    };
    let hint = match exit {
        Exit::Permission if !nix::unistd::geteuid().is_root() => "; run it as root",
        Exit::Permission => "; is the kernel locked down?",
        _ => "",
    };
    Failure::new(exit, format!("{what}: {error}{hint}")).into()
}

/// Reads a file of the kernel's.
///
/// # Errors
///
/// What the kernel says, with the exit code for it.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| failed(&e, format!("{} cannot be read", path.display())))
}

/// Writes a file of the kernel's, in one write.
///
/// # Errors
///
/// What the kernel says, with the exit code for it.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    fs::write(path, text).map_err(|e| failed(&e, format!("'{text}' is not taken by {shown}")))
}

/// The files of a kernel that has the module.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Where tracefs is mounted.
    pub tracefs: PathBuf,
    /// The module's directory in debugfs.
    pub tables: PathBuf,
}

impl Kernel {
    /// Those of the running kernel.
    ///
    /// # Errors
    ///
    /// [`Exit::Kernel`] if something is not mounted, [`Exit::NoModule`], [`Exit::Permission`].
    pub fn find() -> Result<Self> {
        let mounts = fs::read(MOUNTS)
            .map_err(|e| failed(&e, format!("{MOUNTS} cannot be read: is /proc mounted?")))?;
        let tracefs = mounted(&mounts, b"tracefs");
        let debugfs = mounted(&mounts, b"debugfs");
        let kernel = |sentence: &str| Failure::new(Exit::Kernel, sentence);
        let debugfs = debugfs.ok_or_else(|| {
            kernel("debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug")
        })?;
        let tracefs = tracefs.ok_or_else(|| {
            kernel("tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing")
        })?;
        if !Path::new(MODULE).exists() {
            let sentence =
                "the module is not loaded: modprobe page_pin_owner, or insmod page_pin_owner.ko";
            return Err(Failure::new(Exit::NoModule, sentence).into());
        }
        let kernel = Kernel {
            tracefs,
            tables: debugfs.join("page_pin_owner"),
        };
        let events = kernel.tracefs.join("events/page_pin_owner");
        for path in [&events, &kernel.tables] {
            fs::read_dir(path)
                .map_err(|e| failed(&e, format!("{} cannot be used", path.display())))?;
        }
        Ok(kernel)
    }

    /// One of the module's tables.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn table(&self, name: &str) -> Result<Vec<u8>> {
        read(&self.tables.join(name))
    }

    /// Names of tasks that the kernel keeps for traces, also of some that are gone.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn saved_names(&self) -> Result<HashMap<u32, Vec<u8>>> {
        let saved = read(&self.tracefs.join("saved_cmdlines"))?;
        Ok(saved
            .split(|&c| c == b'\n')
            .filter_map(names::saved)
            .collect())
    }
}

/// The name of a task that is there.
pub fn name_of(pid: u32) -> Option<Vec<u8>> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(name.strip_suffix(b"\n").unwrap_or(&name).to_owned())
}

/// Where a file system of that type is mounted first.
pub(crate) fn mounted(mounts: &[u8], kind: &[u8]) -> Option<PathBuf> {
    let mut lines = mounts.split(|&c| c == b'\n');
    lines.find_map(|line| {
        let mut words = line.split(|&c| c == b' ');
        let (_, path, found) = (words.next()?, words.next()?, words.next()?);
        let path = std::ffi::OsString::from_vec(unescape(path));
        (found == kind).then(|| PathBuf::from(path))
    })
}

/// Blanks and the like are octal there, as in `\040`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\');
        let code = octal.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        plain.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

/// What there is to know of the kernel and its module, for a recording that is read elsewhere.
pub fn describe() -> BTreeMap<String, String> {
    let mut about = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        about.insert(key.to_owned(), value.trim().to_owned());
    };
    if let Ok(uname) = nix::sys::utsname::uname() {
        add("kernel", &uname.release().to_string_lossy());
        add("kernel_version", &uname.version().to_string_lossy());
        add("machine", &uname.machine().to_string_lossy());
        add("host", &uname.nodename().to_string_lossy());
    }
    for name in ["version", "srcversion", "taint"] {
        if let Ok(value) = fs::read_to_string(Path::new(MODULE).join(name)) {
            add(&format!("module_{name}"), &value);
        }
    }
    if let Ok(note) = fs::read(Path::new(MODULE).join("notes/.note.gnu.build-id")) {
        // Sizes, type, and the name "GNU" come first.
        let id: String = note
            .iter()
            .skip(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        add("module_build_id", &id);
    }
    for entry in fs::read_dir(Path::new(MODULE).join("parameters"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(value) = fs::read_to_string(entry.path()) {
            let name = entry.file_name();
            add(&format!("parameter_{}", name.to_string_lossy()), &value);
        }
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"proc /proc proc rw 0 0\n\
        debugfs /sys/kernel/debug debugfs rw,relatime 0 0\n\
        tracefs /mnt/a\\040b tracefs rw 0 0\n";

    #[test]
    fn mounts() {
        let found = |kind| mounted(MOUNTS, kind);
        assert_eq!(found(b"debugfs"), Some("/sys/kernel/debug".into()));
        assert_eq!(found(b"tracefs"), Some("/mnt/a b".into()));
        assert_eq!(found(b"bpf"), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\134b\\"), b"a\\b\\");
        assert_eq!(unescape(b"\\0\\08x\\777"), b"\\0\\08x\\777");
    }
}
