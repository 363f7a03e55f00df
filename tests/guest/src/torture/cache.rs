// SPDX-License-Identifier: GPL-2.0

//! Files: on tmpfs and on the ext4 file system at /files, through the page cache and past it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::{Load, Worker, write};
use crate::memory::{Kind, Mapping, PAGE_SIZE};

pub(super) const FILES: Load = Load {
    name: "files",
    acts: &["ext4", "tmpfs", "map", "drop"],
    run: files,
};

pub(super) const DIRECT: Load = Load {
    name: "direct",
    acts: &["write", "read"],
    run: direct,
};

fn files(worker: &mut Worker) -> Result<()> {
    while worker.go(20) {
        for (act, dir) in [("ext4", "/files"), ("tmpfs", "/tmp")] {
            let path = format!("{dir}/torture-{}", worker.rng.u32(0..4));
            let bytes = vec![worker.rng.u8(..); worker.rng.usize(1..1 << 18)];
            write_and_read(&path, &bytes)?;
            worker.tally.did(act, 1);
            if worker.rng.u32(0..4) == 0 {
                fs::remove_file(&path).with_context(|| path.clone())?;
            }
        }
        let memory = Kind::File.map(worker.rng.usize(1..64))?;
        memory.look();
        worker.tally.did("map", 1);
        if worker.rng.u32(0..4) == 0 {
            worker
                .tally
                .tried("drop", write("/proc/sys/vm/drop_caches", "1"), &[]);
        }
    }
    Ok(())
}

fn write_and_read(path: &str, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).context(path.to_owned())?;
    file.write_all(bytes).context("cannot write a file")?;
    file.sync_data().context("fdatasync")?;
    let mut back = Vec::new();
    File::open(path)?.read_to_end(&mut back)?;
    anyhow::ensure!(back == bytes, "{path} has not what was written to it");
    Ok(())
}

fn direct(worker: &mut Worker) -> Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open("/files/direct")
        .context("/files/direct")?;
    while worker.go(20) {
        let memory = Kind::Anon.map(worker.rng.usize(1..32))?;
        transfer(&file, &memory, true)?;
        worker.tally.did("write", 1);
        transfer(&file, &memory, false)?;
        worker.tally.did("read", 1);
    }
    Ok(())
}

/// Writes the memory to the file, or reads it from there.
fn transfer(file: &File, memory: &Mapping, out: bool) -> Result<()> {
    let (fd, start) = (file.as_raw_fd(), memory.address() as *mut libc::c_void);
    // SAFETY: mapped and writable, and nobody refers to its contents.
    let done = unsafe {
        match out {
            true => libc::pwrite(fd, start, memory.len(), 0),
            false => libc::pread(fd, start, memory.len(), 0),
        }
    };
    let done = Errno::result(done).context("O_DIRECT")?;
    anyhow::ensure!(
        done as usize == memory.len(),
        "{} of {} pages",
        done as usize / PAGE_SIZE,
        memory.len() / PAGE_SIZE
    );
    Ok(())
}
