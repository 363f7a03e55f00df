// SPDX-License-Identifier: GPL-2.0

//! What `pinowner top` shows: drawn on a terminal, in ASCII, or printed line by line.

use crate::live::{FOLIOS, HOLDERS, Order, Snapshot};
use crate::show::Count;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState, Wrap};
use std::io::{self, Write};
use std::time::Duration;

/// On less nothing can be shown.
const LEAST: (u16, u16) = (60, 10);
/// From so many columns on there is room for all that is known.
const WIDE: u16 = 100;
/// Rows of a table that are printed.
const PRINTED: usize = 20;
/// Characters of a cell that are printed.
const LONGEST: usize = 100;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The end.
    Quit,
    /// Go on.
    Nothing,
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Focus {
    #[default]
    Folios,
    Holders,
}

/// All that is shown, and how.
#[derive(Debug, Default)]
pub struct Screen {
    now: Snapshot,
    /// How much it grew since the snapshot before, and in which time.
    failures: u64,
    puts: u64,
    lost: u64,
    elapsed: Duration,
    order: Order,
    focus: Focus,
    folios: TableState,
    holders: TableState,
    filter: String,
    is_typing: bool,
}

impl Screen {
    /// Takes a new snapshot, made that long after the one before.
    pub fn update(&mut self, mut snapshot: Snapshot, elapsed: Duration) {
        snapshot.sort(self.order);
        let grown = |of: fn(&Snapshot) -> u64| match elapsed.is_zero() {
            true => 0,
            false => of(&snapshot).saturating_sub(of(&self.now)),
        };
        self.failures = grown(Snapshot::failures);
        self.puts = grown(|s| s.stat("puts"));
        self.lost = grown(|s| s.lost().fold(0, |sum: u64, (_, n)| sum.saturating_add(n)));
        self.elapsed = elapsed;
        self.now = snapshot;
    }

    fn rate(&self, count: u64) -> u64 {
        let ms = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        count.saturating_mul(1000).checked_div(ms).unwrap_or(0)
    }

    /// Does what a key asks for.
    pub fn key(&mut self, key: KeyEvent) -> Asked {
        if key.kind == KeyEventKind::Release {
            return Asked::Nothing;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Asked::Quit;
        }
        if self.is_typing {
            match key.code {
                KeyCode::Enter => self.is_typing = false,
                KeyCode::Esc => {
                    self.is_typing = false;
                    self.filter.clear();
                }
                KeyCode::Backspace => {
                    self.filter.pop();
                }
                KeyCode::Char(c) if !c.is_control() && self.filter.len() < 64 => {
                    self.filter.push(c);
                }
                _ => (),
            }
            return Asked::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Asked::Quit,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.now.sort(self.order);
            }
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Folios => Focus::Holders,
                    Focus::Holders => Focus::Folios,
                }
            }
            KeyCode::Up | KeyCode::Char('k') => self.focused().select_previous(),
            KeyCode::Down | KeyCode::Char('j') => self.focused().select_next(),
            KeyCode::PageUp => self.focused().scroll_up_by(10),
            KeyCode::PageDown => self.focused().scroll_down_by(10),
            KeyCode::Home => self.focused().select_first(),
            KeyCode::End => self.focused().select_last(),
            _ => (),
        }
        Asked::Nothing
    }

    fn focused(&mut self) -> &mut TableState {
        match self.focus {
            Focus::Folios => &mut self.folios,
            Focus::Holders => &mut self.holders,
        }
    }

    /// What is on: one line.
    fn state(&self) -> String {
        let marks = Count(self.now.stat("marks"), "folio");
        match (&self.now.broken, self.now.stat("attached")) {
            (Some(broken), _) => {
                format!("the module has switched itself off: '{broken}' does not hold, see dmesg")
            }
            (None, 0) => {
                "no event is enabled, so nothing is marked: try pinowner record".to_owned()
            }
            _ => format!("{marks} marked"),
        }
    }

    /// How fast it goes: one line.
    fn rates(&self) -> String {
        let mut text = format!(
            "failures {} (+{}/s)  puts {} (+{}/s)  watched {}",
            self.now.failures(),
            self.rate(self.failures),
            self.now.stat("puts"),
            self.rate(self.puts),
            Count(self.now.stat("watched_pages"), "page"),
        );
        let bytes = self.now.stat("ledger_bytes");
        if bytes > 0 {
            text += &format!(" in {} KiB", bytes.div_ceil(1024));
        }
        text
    }

    /// What could not be recorded: one line.
    fn losses(&self) -> String {
        let lost: Vec<_> = self
            .now
            .lost()
            .map(|(name, n)| format!("{name}={n}"))
            .collect();
        match lost.is_empty() {
            true => "lost: nothing".to_owned(),
            false => format!("lost (+{}/s): {}", self.rate(self.lost), lost.join(" ")),
        }
    }

    fn folio_rows(&self) -> Vec<[String; 9]> {
        let rows = self.now.folios.iter().map(|folio| folio.cells());
        rows.filter(|cells| self.is_shown(cells)).collect()
    }

    fn holder_rows(&self) -> Vec<[String; 8]> {
        let rows = self.now.holders.iter().map(|holder| holder.cells());
        rows.filter(|cells| self.is_shown(cells)).collect()
    }

    fn is_shown(&self, cells: &[String]) -> bool {
        self.filter.is_empty() || cells.iter().any(|cell| cell.contains(&self.filter))
    }

    fn folios_title(&self, shown: usize) -> String {
        let all = self.now.folios.len();
        let order = self.order.name();
        match shown == all {
            true => format!(
                "{} that failed to move, by {order}",
                Count(all as u64, "folio")
            ),
            false => format!("{shown} of {all} folios that failed to move, by {order}"),
        }
    }

    /// Draws all of it.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!(
                "terminal too small: it has {}x{}, {}x{} are needed",
                area.width, area.height, LEAST.0, LEAST.1
            );
            frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
            return;
        }
        let selected = self.selected();
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Fill(3),
            Constraint::Fill(2),
            Constraint::Length(if selected.is_some() { 2 } else { 0 }),
            Constraint::Length(1),
        ]);
        let [title, figures, folios, holders, detail, keys] = rows.areas(area);
        let text = selected.unwrap_or_default();
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), detail);
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let text = format!("pinowner top - {}", self.state());
        frame.render_widget(Paragraph::new(text).style(reversed), title);
        let lines = vec![Line::from(self.rates()), Line::from(self.losses())];
        frame.render_widget(Paragraph::new(lines), figures);
        self.draw_folios(frame, folios);
        self.draw_holders(frame, holders);
        let text = match (self.is_typing, self.filter.is_empty()) {
            (true, _) => format!("only with: {}_  (Enter, Esc)", self.filter),
            (false, false) => format!("only with '{}' (Esc: all)  q quit  s sort", self.filter),
            _ => "q quit  s sort  / only some  Tab other table  arrows move".to_owned(),
        };
        frame.render_widget(Paragraph::new(text).style(reversed), keys);
    }

    fn draw_folios(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.folio_rows();
        let title = self.folios_title(rows.len());
        // What tells least gives way where there is little room; the longest reason has 17.
        let widths = match area.width < WIDE {
            true => [9, 0, 12, 7, 5, 5, 7, 0],
            false => [11, 5, 17, 7, 5, 5, 7, 7],
        };
        let looks = self.looks(Focus::Folios);
        table(
            frame,
            area,
            &title,
            looks,
            (&FOLIOS, &rows),
            &widths,
            &mut self.folios,
        );
    }

    fn draw_holders(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.holder_rows();
        let title = stacks_title(rows.len());
        let widths = match area.width < WIDE {
            true => [6, 6, 4, 0, 7, 8, 15],
            false => [6, 8, 5, 8, 8, 8, 21],
        };
        let looks = self.looks(Focus::Holders);
        table(
            frame,
            area,
            &title,
            looks,
            (&HOLDERS, &rows),
            &widths,
            &mut self.holders,
        );
    }

    /// How the selected row of that table looks.
    fn looks(&self, of: Focus) -> Style {
        match self.focus == of {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        }
    }

    /// The last cell of the selected row, for which there may be no room in the table.
    fn selected(&self) -> Option<String> {
        match self.focus {
            Focus::Folios => last_cell(self.folio_rows(), &self.folios),
            Focus::Holders => last_cell(self.holder_rows(), &self.holders),
        }
    }

    /// Prints all of it, as it is.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "pinowner top - {}", self.state())?;
        writeln!(out, "{}\n{}\n", self.rates(), self.losses())?;
        let folios = self.folio_rows();
        writeln!(out, "{}", self.folios_title(folios.len()))?;
        columns(&FOLIOS, &folios, out)?;
        let holders = self.holder_rows();
        writeln!(out, "\n{}", stacks_title(holders.len()))?;
        columns(&HOLDERS, &holders, out)?;
        writeln!(out)
    }
}

fn stacks_title(shown: usize) -> String {
    let stacks = Count(shown as u64, "stack");
    format!("{stacks} that put them, or hold some")
}

fn last_cell<const N: usize>(rows: Vec<[String; N]>, state: &TableState) -> Option<String> {
    let row = rows.into_iter().nth(state.selected()?)?;
    row.into_iter().next_back()
}

/// A table with its title, and with the row that is selected in it. A column without a width is
/// left out; the last one has what room is left.
fn table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    selected: Style,
    (headings, rows): (&[&'static str; N], &[[String; N]]),
    widths: &[u16],
    state: &mut TableState,
) {
    let [above, below] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let line = format!("--- {title} {}", "-".repeat(usize::from(area.width)));
    frame.render_widget(Paragraph::new(line), above);
    let is_there = |at: &usize| widths.get(*at).is_none_or(|width| *width > 0);
    let columns: Vec<_> = (0..N).filter(is_there).collect();
    let row = |cells: &[String; N]| {
        Row::new(
            columns
                .iter()
                .map(|&at| cells[at].clone())
                .collect::<Vec<_>>(),
        )
    };
    let heading = Row::new(columns.iter().map(|&at| headings[at]).collect::<Vec<_>>());
    let widths = columns.iter().map(|&at| match widths.get(at) {
        Some(width) => Constraint::Length(*width),
        None => Constraint::Fill(1),
    });
    let table = Table::new(rows.iter().map(row), widths)
        .header(heading.style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(selected);
    frame.render_stateful_widget(table, below, state);
}

/// Prints rows one below the other, those that come first.
fn columns<const N: usize>(
    headings: &[&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> io::Result<()> {
    let shown = &rows[..rows.len().min(PRINTED)];
    let mut widths = headings.map(str::len);
    for row in shown {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().clamp(*width, LONGEST);
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join(" ");
        line.trim_end().to_owned()
    };
    writeln!(out, "{}", line(&mut headings.iter().copied()))?;
    for row in shown {
        writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?;
    }
    if rows.len() > shown.len() {
        writeln!(out, "... and {} more", rows.len() - shown.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
