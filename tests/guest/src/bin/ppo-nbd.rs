// SPDX-License-Identifier: GPL-2.0

//! Makes an image a block device, for as long as it runs, which holds back its
//! replies to writes as long as somebody is connected to [`CONTROL`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use ppo_guest::nbd::{CONTROL, Command, Device, Server};

/// Serve an image, print where
#[derive(Parser)]
struct Arguments {
    /// What the device is to contain
    image: PathBuf,

    /// For how many seconds it holds back a reply at most: long after every test should
    /// have ended its hold. One that is killed cannot: the end of its nameless file comes
    /// before that of its connection, and waits for writeback
    #[arg(long, default_value_t = 60)]
    limit: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let limit = Duration::from_secs(arguments.limit);
    let image = File::options()
        .read(true)
        .write(true)
        .open(&arguments.image)
        .with_context(|| format!("cannot open {}", arguments.image.display()))?;
    // One that was killed leaves it behind.
    let _ = fs::remove_file(CONTROL);
    let control = UnixListener::bind(CONTROL).with_context(|| format!("cannot bind {CONTROL}"))?;
    let device = Device::new(image)?;
    println!("{}", device.path().display());
    for connection in control.incoming() {
        hold(device.server(), connection?, limit)?;
    }
    Ok(())
}

/// Holds back replies until the other end is closed, or for `limit`.
fn hold(server: &Server, mut connection: UnixStream, limit: Duration) -> io::Result<()> {
    connection.set_read_timeout(Some(limit))?;
    server.hold(Command::Write);
    // Whoever went away meanwhile needs no answer.
    if connection.write_all(b"\n").is_ok() && connection.read(&mut [0]).is_err() {
        eprintln!("ppo-nbd: held for {limit:?}, which is enough");
    }
    server.release()
}
