// SPDX-License-Identifier: GPL-2.0

//! The terminal while a program draws on all of it. It is put back however the program ends.

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, MoveTo, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use ratatui::layout::Rect;
use ratatui::{Frame, TerminalOptions, Viewport};
use std::env;
use std::io::{self, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of a serial line that does not say how large it is.
const USUAL: (u16, u16) = (80, 24);

/// Are we on the other screen?
static ALTERNATE: AtomicBool = AtomicBool::new(false);
/// Is it to be put back?
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal. It is as before when this is dropped, and before a panic says its word.
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
    area: Rect,
}

/// Can the cursor be moved on it at all?
pub fn is_capable(term: Option<&str>) -> bool {
    !matches!(term, None | Some("" | "dumb" | "unknown"))
}

/// Has it another screen, from which one comes back to what was there? A serial console may be
/// anything, and tells that it is one of these.
fn has_alternate(term: &str) -> bool {
    !(term.starts_with("vt") || term.starts_with("linux") || term.starts_with("ansi"))
}

/// How large it is.
fn area() -> Rect {
    let variable = |name| env::var(name).ok()?.parse::<u16>().ok();
    let (width, height) = size().unwrap_or((0, 0));
    let known = |size, name, usual| match size {
        0 => variable(name).filter(|n| *n > 0).unwrap_or(usual),
        size => size,
    };
    let (width, height) = (
        known(width, "COLUMNS", USUAL.0),
        known(height, "LINES", USUAL.1),
    );
    Rect::new(0, 0, width, height)
}

/// Puts it back, once.
fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing can be done about what fails here.
    let _ = disable_raw_mode();
    let mut out = io::stdout();
    let _ = match ALTERNATE.load(Ordering::SeqCst) {
        true => execute!(out, LeaveAlternateScreen, Show),
        false => execute!(out, Clear(ClearType::All), MoveTo(0, 0), Show),
    };
}

impl Terminal {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// What the terminal says; then it is as before.
    pub fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        let alternate = env::var("TERM").is_ok_and(|term| has_alternate(&term));
        ALTERNATE.store(alternate, Ordering::SeqCst);
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let terminal = Self::open(alternate);
        if terminal.is_err() {
            restore();
        }
        terminal
    }

    fn open(alternate: bool) -> io::Result<Self> {
        let mut out = io::stdout();
        if alternate {
            execute!(out, EnterAlternateScreen)?;
        }
        execute!(out, Hide, Clear(ClearType::All))?;
        let area = area();
        let viewport = Viewport::Fixed(area);
        let inner = ratatui::Terminal::with_options(
            CrosstermBackend::new(out),
            TerminalOptions { viewport },
        )?;
        Ok(Terminal { inner, area })
    }

    /// Draws on it, whatever size it has now.
    ///
    /// # Errors
    ///
    /// What the terminal says.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let area = area();
        if area != self.area {
            self.area = area;
            self.inner.resize(area)?;
        }
        self.inner.draw(draw)?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert!(is_capable(Some("vt100")) && is_capable(Some("xterm-256color")));
        assert!(!is_capable(None) && !is_capable(Some("dumb")));
        assert!(has_alternate("xterm") && has_alternate("screen"));
        assert!(
            ["vt100", "vt220", "linux"]
                .iter()
                .all(|term| !has_alternate(term))
        );
    }
}
