// SPDX-License-Identifier: GPL-2.0

//! The kernel's log: what the module says in it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Result, bail};
use nix::errno::Errno;

/// Read from where it was read to last.
pub(super) struct Log {
    file: File,
    /// How often lines were overwritten before they could be read.
    pub(super) lost: usize,
}

impl Log {
    /// From its end on.
    pub(super) fn open() -> Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, lost: 0 })
    }

    /// Goes to its end.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// What the module has said since.
    pub(super) fn lines(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    let said = text.split_once(';').and_then(|(_, text)| {
                        text.lines().next()?.strip_prefix("page_pin_owner: ")
                    });
                    lines.extend(said.map(str::to_owned));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(lines),
                Err(e) if e.raw_os_error() == Some(Errno::EPIPE as i32) => self.lost += 1,
                Err(e) => bail!("/dev/kmsg: {e}"),
            }
        }
    }
}
