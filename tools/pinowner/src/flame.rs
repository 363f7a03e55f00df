// SPDX-License-Identifier: GPL-2.0

//! `pinowner flame`: who held folios, as a flame graph. From the bottom up: why the folios were to
//! be moved, the task, its functions, and on top the one that gave the reference back, or took it;
//! that one has the holder's colour.

use crate::colour::Colours;
use crate::folded::{self, Weight};
use crate::show::Count;
use crate::story::{Findings, Handle, Holder, Name};
use crate::symbol;
use crate::xml;
use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Options};
use std::collections::{BTreeMap, HashMap};
use std::io;

const TITLE: &str = "Who held the pages that could not be moved";
const UNKNOWN: &str = "[held still, by whom is not known]";
/// Pixels.
const WIDTH: usize = 1200;
/// What the title takes, above the subtitle.
const TITLE_HEIGHT: usize = 30;
/// What is left empty below, but for some of it.
const BOTTOM: usize = 24;
/// The sum of all widths, at most; of microseconds that is 142 years.
const MOST: u128 = 1 << 52;

const REASON: Color = rgb(0xb8, 0xc4, 0xd4);
const TASK: Color = rgb(0xd3, 0xdb, 0xe6);
const NOTE: Color = rgb(0xf3, 0xc6, 0xc6);
const FRAME: Color = rgb(0xf0, 0xe9, 0xdc);

const fn rgb(r: u8, g: u8, b: u8) -> Color {
    Color { r, g, b }
}

/// One line of the input of a flame graph.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    stack: String,
    weight: u64,
}

/// What a stack held: folios, and the time of all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    folios: u64,
    us: u64,
}

impl Share {
    fn add(&mut self, us: u64) {
        self.folios += 1;
        self.us = self.us.saturating_add(us);
    }

    fn weight(self, weight: Weight) -> u64 {
        match weight {
            Weight::Folios => self.folios,
            Weight::Time => self.us,
        }
    }
}

/// The totals of [`Findings::holders`], for each reason of its own.
fn by_reason(findings: &Findings) -> HashMap<(Handle, bool, &Name), Share> {
    let mut shares: HashMap<_, Share> = HashMap::new();
    for story in &findings.stories {
        let let_go = story.held_by().map(|(stack, _, us, _)| (stack, false, us));
        let held = story.held.iter();
        let held = held.map(|r| (r.stack, true, r.age_ms.saturating_mul(1000)));
        let mut seen = Vec::new();
        for (stack, still, us) in let_go.chain(held) {
            // Of several tasks, or references, the first one stands for the folio.
            if !seen.contains(&(stack, still)) {
                seen.push((stack, still));
                let share = shares.entry((stack, still, &story.reason)).or_default();
                share.add(us);
            }
        }
    }
    shares
}

/// All stacks, and what each of their frames looks like.
fn lines(findings: &Findings, weight: Weight) -> (Vec<Line>, PaletteMap) {
    let mut palette = PaletteMap::default();
    let colours = Colours::new(findings);
    let shares = by_reason(findings);
    let mut lines = Vec::new();
    for holder in &findings.holders {
        let stack = folded::stack(findings, holder, symbol::telling);
        for reason in &holder.reasons {
            let Some(share) = shares.get(&(holder.stack, holder.still, reason)) else {
                continue;
            };
            let line = Line {
                stack: format!("{};{stack}", folded::word(reason)),
                weight: share.weight(weight),
            };
            paint(&line.stack, holder, &colours, &mut palette);
            lines.push(line);
        }
    }
    lines.extend(unknown(findings, weight, &mut palette));
    // A holder is to be seen, however short its time.
    let total: u128 = lines.iter().map(|line| u128::from(line.weight)).sum();
    let shrink = u64::try_from(total / MOST + 1).unwrap_or(u64::MAX);
    for line in &mut lines {
        line.weight = (line.weight / shrink).max(1);
    }
    (lines, palette)
}

/// Folios of which nobody is known who has them.
fn unknown(findings: &Findings, weight: Weight, palette: &mut PaletteMap) -> Vec<Line> {
    let mut shares: BTreeMap<&Name, Share> = BTreeMap::new();
    for story in &findings.stories {
        if story.is_held() && story.held.is_empty() {
            let us = story.let_go_us.unwrap_or(story.age_us);
            shares.entry(&story.reason).or_default().add(us);
        }
    }
    let line = |(reason, share): (&Name, Share)| {
        let reason = folded::word(reason);
        palette.insert(&reason, REASON);
        palette.insert(UNKNOWN, NOTE);
        Line {
            stack: format!("{reason};{UNKNOWN}"),
            weight: share.weight(weight),
        }
    };
    shares.into_iter().map(line).collect()
}

/// Gives each frame of a stack its colour. The innermost function has the holder's, also where
/// another one has it further out.
fn paint(stack: &str, holder: &Holder, colours: &Colours, palette: &mut PaletteMap) {
    let frames: Vec<_> = stack.split(';').collect();
    let last = frames.len() - 1;
    for (n, &frame) in frames.iter().enumerate() {
        let (r, g, b) = colours.rgb(holder.stack);
        let colour = match n {
            0 => REASON,
            _ if n == last && !frame.starts_with('[') => rgb(r, g, b),
            1 => TASK,
            _ if frame.starts_with('[') => NOTE,
            _ => continue,
        };
        if palette.get(frame).is_none() {
            palette.insert(frame, colour);
        }
    }
}

/// What the widths say.
fn subtitle(findings: &Findings, weight: Weight) -> String {
    let folios = Count(findings.stories.len() as u64, "folio");
    let what = match weight {
        Weight::Folios => format!(
            "Width: folios held, of {folios} that failed; one that several held counts for each"
        ),
        Weight::Time => format!(
            "Width: time held after the first failure, of {folios} together; one that several held counts for each"
        ),
    };
    format!("{what}. On top: what let go, or took what is held still")
}

/// Draws it. A `still` picture has no script, to be part of a page.
///
/// # Errors
///
/// What drawing says.
pub fn svg(findings: &Findings, weight: Weight, still: bool) -> io::Result<String> {
    let (lines, mut palette) = lines(findings, weight);
    if lines.is_empty() {
        return Ok(nothing());
    }
    for line in &lines {
        for frame in line.stack.split(';') {
            if palette.get(frame).is_none() {
                palette.insert(frame, FRAME);
            }
        }
    }
    palette.insert("", rgb(0xe6, 0xea, 0xef));
    let mut options = Options::default();
    options.title = TITLE.into();
    options.subtitle = Some(subtitle(findings, weight));
    options.image_width = Some(WIDTH);
    options.frame_height = 18;
    options.font_type = "sans-serif".into();
    options.font_width = 0.56;
    options.bgcolors = Some(BackgroundColor::Flat(rgb(0xff, 0xff, 0xff)));
    options.palette_map = Some(&mut palette);
    options.name_type = "Function:".into();
    options.deterministic = true;
    options.no_javascript = still;
    (options.count_name, options.factor) = match weight {
        Weight::Folios => ("folios".into(), 1.0),
        Weight::Time => ("ms".into(), 0.001),
    };
    let text: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {}", line.stack, line.weight))
        .collect();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, text.iter().map(String::as_str), &mut svg)?;
    let svg = String::from_utf8_lossy(&svg).into_owned();
    Ok(xml::legal(if still { part_of_a_page(&svg) } else { svg }))
}

/// That nothing was held is worth a picture too.
fn nothing() -> String {
    let text = "Nobody is known who held a page that could not be moved.";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"60\" \
         viewBox=\"0 0 {WIDTH} 60\"><text x=\"{}\" y=\"35\" text-anchor=\"middle\" \
         font-family=\"sans-serif\" font-size=\"14\" fill=\"#6b7280\">{text}</text></svg>",
        WIDTH / 2
    )
}

/// Leaves out what a page that allows no foreign style or script would refuse. All of that comes
/// before anything of the recording's.
fn part_of_a_page(svg: &str) -> String {
    let start = svg.find("<svg").unwrap_or(0);
    let mut svg = svg[start..].replacen(" onload=\"init(evt)\"", "", 1);
    for element in ["style", "script", "defs"] {
        let (begin, end) = (format!("<{element}"), format!("</{element}>"));
        if let (Some(from), Some(to)) = (svg.find(&begin), svg.find(&end)) {
            if from < to {
                svg.replace_range(from..to + end.len(), "");
            }
        }
    }
    // The page has a title of its own, and nothing is written at the bottom without a script.
    let (width, from) = (WIDTH, TITLE_HEIGHT);
    if let Some(height) = height(&svg).filter(|&height| height > from + BOTTOM) {
        let whole = format!("height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
        let rest = height - from - BOTTOM;
        let part = format!("height=\"{rest}\" viewBox=\"0 {from} {width} {rest}\"");
        svg = svg.replacen(&whole, &part, 1);
    }
    svg.replacen(" fill=\"url(#background)\"", " class=\"bg\"", 1)
}

/// That of the whole picture, which is the first that is told.
fn height(svg: &str) -> Option<usize> {
    let (_, rest) = svg.split_once("height=\"")?;
    rest.split_once('"')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn widths_are_those_of_the_holders() {
        let findings = testing::small();
        for weight in [Weight::Folios, Weight::Time] {
            let (lines, _) = lines(&findings, weight);
            let known: u64 = lines
                .iter()
                .filter(|line| !line.stack.contains(UNKNOWN))
                .map(|line| line.weight)
                .sum();
            let held: u64 = findings.holders.iter().map(|h| weight.of(h)).sum();
            assert_eq!(known, held);
        }
    }

    #[test]
    fn picture_has_a_frame_for_each_holder() {
        let findings = testing::small();
        let svg = svg(&findings, Weight::Folios, false).unwrap();
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        };
        let document = roxmltree::Document::parse_with_options(&svg, options).unwrap();
        let titles: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
            .filter_map(|node| node.text())
            .collect();
        for holder in &findings.holders {
            let function =
                symbol::function(&symbol::telling(&findings.stacks[&holder.stack].frames)[0]);
            let title = format!("{function} ({} folios,", holder.folios);
            assert!(
                titles.iter().any(|t| t.starts_with(&title)),
                "{title} is not in {titles:?}"
            );
        }
    }

    #[test]
    fn part_of_a_page_has_no_style_nor_script() {
        let svg = svg(&testing::small(), Weight::Time, true).unwrap();
        for unwanted in [
            "<style",
            "<script",
            "onload",
            "<?xml",
            "<!DOCTYPE",
            "style=",
        ] {
            assert!(!svg.contains(unwanted), "{unwanted}");
        }
        assert!(svg.contains("viewBox=\"0 30 1200"), "{svg:.300}");
        roxmltree::Document::parse(&svg).unwrap();
    }

    #[test]
    fn times_beyond_reason() {
        let mut findings = testing::small();
        for story in &mut findings.stories {
            story.let_go_us = Some(u64::MAX);
            story.puts.iter_mut().for_each(|p| p.last_us = u64::MAX);
        }
        svg(&findings, Weight::Time, false).unwrap();
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let svg = svg(&Findings::default(), Weight::Folios, false).unwrap();
        roxmltree::Document::parse(&svg).unwrap();
    }
}
