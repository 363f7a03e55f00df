// SPDX-License-Identifier: GPL-2.0

//! `pinowner top`: what fails to move, and who holds it, as it changes.

use crate::exit::Exit;
use crate::kernel::Kernel;
use crate::live::Snapshot;
use crate::screen::{Asked, Screen};
use crate::signals::{Ended, Signals};
use crate::terminal::{Terminal, is_capable};
use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event};
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often one looks for keys and signals.
const TICK: Duration = Duration::from_millis(100);
/// Of the time, reading the tables takes one part in so many at most.
const SHARE: u32 = 4;

/// How it is to be shown.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print it once every interval, as where there is no terminal
    #[arg(long)]
    plain: bool,
    /// End after so many times
    #[arg(short = 'n', value_name = "TIMES")]
    times: Option<u64>,
    /// How often the tables are read
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
}

/// Does it.
///
/// # Errors
///
/// What the kernel and the terminal say; the terminal is as before in any case.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    show(&Kernel::find()?.tables, arguments)
}

/// Shows the tables in that directory.
///
/// # Errors
///
/// As [`run`].
pub fn show(tables: &Path, arguments: &Arguments) -> Result<Exit> {
    let signals = Signals::catch().context("signals cannot be caught")?;
    let term = env::var("TERM").ok();
    let has_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    let mut live = Live {
        tables,
        screen: Screen::default(),
        read_at: None,
        left: arguments.times,
        interval: arguments.interval.max(TICK),
    };
    if arguments.plain || !has_terminal || !is_capable(term.as_deref()) {
        live.print(&signals)?;
    } else {
        let mut terminal = Terminal::take().context("the terminal cannot be used")?;
        live.draw(&mut terminal, &signals)?;
    }
    Ok(Exit::Ok)
}

/// It, going on.
struct Live<'a> {
    tables: &'a Path,
    screen: Screen,
    read_at: Option<Instant>,
    /// How many times more.
    left: Option<u64>,
    interval: Duration,
}

impl Live<'_> {
    /// Reads the tables. Returns when to do so again; `None` if that was the last time.
    fn read(&mut self) -> Result<Option<Instant>> {
        let began = Instant::now();
        let snapshot = Snapshot::read(self.tables)?;
        let elapsed = self.read_at.map_or(Duration::ZERO, |before| began - before);
        self.screen.update(snapshot, elapsed);
        self.read_at = Some(began);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Ok(None);
            }
        }
        let pause = self.interval.max(began.elapsed() * SHARE);
        Ok(began.checked_add(pause))
    }

    fn print(&mut self, signals: &Signals) -> Result<()> {
        loop {
            let next = self.read()?;
            let mut out = io::BufWriter::new(io::stdout().lock());
            self.screen.print(&mut out)?;
            out.flush()?;
            drop(out);
            let Some(next) = next else {
                return Ok(());
            };
            while let Some(rest) = next.checked_duration_since(Instant::now()) {
                if signals.wait(rest)? == Ended::Yes {
                    return Ok(());
                }
            }
        }
    }

    fn draw(&mut self, terminal: &mut Terminal, signals: &Signals) -> Result<()> {
        loop {
            let next = self.read()?;
            terminal.draw(|frame| self.screen.draw(frame))?;
            let Some(next) = next else {
                return Ok(());
            };
            while let Some(rest) = next.checked_duration_since(Instant::now()) {
                if signals.wait(Duration::ZERO)? == Ended::Yes {
                    return Ok(());
                }
                if !event::poll(rest.min(TICK))? {
                    continue;
                }
                let asked = match event::read()? {
                    Event::Key(key) => self.screen.key(key),
                    _ => Asked::Nothing,
                };
                if asked == Asked::Quit {
                    return Ok(());
                }
                terminal.draw(|frame| self.screen.draw(frame))?;
            }
        }
    }
}
