// SPDX-License-Identifier: GPL-2.0

//! The picture itself. Colours come from classes, so that a page may show it light and dark.

use super::axis::Axis;
use super::group::{Group, Who, groups, held_us};
use crate::colour::{self, Colours};
use crate::show::{Count, Time};
use crate::story::{End, Failure, Findings, Story};
use crate::xml;
use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 150.0;
/// Room for the arrow of what is held still.
const RIGHT: f64 = 30.0;
const TITLE: f64 = 32.0;
const HEADING: f64 = 26.0;
const TOP: f64 = 104.0;
/// Of what is drawn together.
const BAND: f64 = 44.0;
/// Columns of that.
const COLUMNS: usize = 340;

/// Rules for what is no holder's colour, light and dark.
pub const STYLE: &str = "\
.tl text{font:12px system-ui,sans-serif;fill:#1f2933}
.tl .h{font-weight:600;font-size:18px}
.tl .n{font:600 12px ui-monospace,monospace}
.tl .s{fill:#5b6773}
.tl .p{font:10px ui-monospace,monospace;fill:#5b6773}
.tl .g{stroke:#dde3e9;stroke-width:1}
.tl .k{stroke:#1f2933;stroke-width:1.5;fill:none}
.tl .w{stroke:#5b6773;stroke-width:1.5;fill:none}
.bg{fill:#fff}
@media (prefers-color-scheme:dark){
.tl text{fill:#e6e9ed}
.tl .s,.tl .p{fill:#a3adb8}
.tl .g{stroke:#353d46}
.tl .k{stroke:#fff}
.tl .w{stroke:#a3adb8}
.bg{fill:#14181d}
}
";

/// Draws it, with about `most` rows at most. As a file it brings its own style; a page has that
/// once for all.
pub fn svg(findings: &Findings, most: usize, as_file: bool) -> String {
    let picture = Picture::new(findings, most);
    xml::legal(picture.draw(as_file).into_string())
}

/// When the last folio was let go or failed; if one is held still, when the recording ended, as
/// far as is known. What happens to a folio after it was let go does not matter.
pub fn end_ns(findings: &Findings) -> u64 {
    let stories = || findings.stories.iter();
    let end = match stories().any(Story::is_held) {
        true => stories().map(|s| bar(s).1.max(s.last_ns)).max(),
        false => stories().map(shown_until).max(),
    };
    end.unwrap_or(0)
}

/// When a folio was marked, and when it was let go, or heard of last.
fn bar(story: &Story) -> (u64, u64) {
    let us = story.let_go_us.unwrap_or(story.age_us);
    let end = story.marked_ns.saturating_add(us.saturating_mul(1000));
    (story.marked_ns, end)
}

/// A coordinate, no more exact than can be seen.
fn px(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

struct Picture<'a> {
    findings: &'a Findings,
    groups: Vec<Group<'a>>,
    colours: Colours,
    axis: Axis,
    /// Height of a row.
    row: f64,
    height: f64,
}

impl<'a> Picture<'a> {
    fn new(findings: &'a Findings, most: usize) -> Self {
        let groups = groups(findings, most);
        let start_ns = findings.stories.iter().map(|s| s.marked_ns).min();
        let start_ns = start_ns.unwrap_or(0);
        let axis = Axis {
            start_ns,
            span_ns: end_ns(findings).saturating_sub(start_ns),
            left: LEFT,
            width: WIDTH - LEFT - RIGHT,
        };
        let rows: usize = groups.iter().map(|group| group.rows.len()).sum();
        let row = if rows > 80 { 11.0 } else { 16.0 };
        let bands = groups.iter().filter(|group| !group.more.is_empty()).count();
        let height = TOP
            + groups.len() as f64 * (HEADING + 8.0)
            + rows as f64 * row
            + bands as f64 * (BAND + 4.0)
            + 40.0;
        Picture {
            findings,
            groups,
            colours: Colours::new(findings),
            axis,
            row,
            height,
        }
    }
}

/// Until when something is drawn of a folio.
fn shown_until(story: &Story) -> u64 {
    let failed = story.failures.iter().map(|f| f.last_ns).max();
    bar(story).1.max(failed.unwrap_or(0))
}

impl Picture<'_> {
    fn draw(&self, as_file: bool) -> Markup {
        // A page has a title of its own.
        let from = if as_file { 0.0 } else { TITLE };
        let (width, height, shown) = (px(WIDTH), px(self.height), px(self.height - from));
        html! {
            svg class="tl" xmlns="http://www.w3.org/2000/svg" width=(width) height=(shown)
                viewBox={ "0 " (px(from)) " " (width) " " (shown) } role="img" aria-label=(self.title()) {
                @if as_file {
                    style { (PreEscaped(STYLE)) (PreEscaped(colour::rules())) }
                }
                defs {
                    linearGradient id="tl-fade" {
                        stop offset="0" stop-color="#fff" stop-opacity="0.9" {}
                        stop offset="1" stop-color="#fff" stop-opacity="0.15" {}
                    }
                    mask id="tl-mask" maskContentUnits="objectBoundingBox" {
                        rect width="1" height="1" fill="url(#tl-fade)" {}
                    }
                }
                rect class="bg" width=(width) height=(height) {}
                @if as_file { text class="h" x="16" y="28" { (self.title()) } }
                text class="s" x="16" y="48" { (self.subtitle()) }
                (self.key())
                (self.marks())
                (self.bodies())
            }
        }
    }

    fn end_ns(&self) -> u64 {
        self.axis.start_ns.saturating_add(self.axis.span_ns)
    }

    fn title(&self) -> String {
        let folios = Count(self.findings.stories.len() as u64, "folio");
        format!("When {folios} could not be moved, and for how long somebody held on")
    }

    fn subtitle(&self) -> String {
        let all = self.findings.stories.len();
        let rows: usize = self.groups.iter().map(|group| group.rows.len()).sum();
        let order = "Holders of what is held still come first, then those who held longest.";
        match all - rows {
            0 => format!("One bar for each folio. {order}"),
            more => format!(
                "Of {all} folios only {rows}, the most wanted of each holder, have a bar; the other {more} are drawn together. {order}"
            ),
        }
    }

    /// What the marks mean.
    fn key(&self) -> Markup {
        let y = 66.0;
        html! {
            rect class=(colour::class(None)) x="16" y=(px(y - 9.0)) width="40" height="10" rx="2" {}
            text class="s" x="62" y=(px(y)) { "from the first failure until it was let go" }
            rect class=(colour::class(None)) x="330" y=(px(y - 9.0)) width="40" height="10"
                mask="url(#tl-mask)" {}
            path class="w" d={ "M372," (px(y - 8.0)) "l4,4l-4,4" } {}
            text class="s" x="384" y=(px(y)) { "held still when the recording ended" }
            path class="k" d={ "M622," (px(y - 10.0)) "v12" } {}
            text class="s" x="632" y=(px(y)) { "failed again" }
            @if self.groups.iter().any(|group| !group.more.is_empty()) {
                path class=(colour::class(None)) d={ "M730," (px(y + 1.0)) "v-5h10v-5h12v7h12v3z" } {}
                text class="s" x="772" y=(px(y)) { "how many of the others were held at a time" }
            }
        }
    }

    fn marks(&self) -> Markup {
        let bottom = self.height - 30.0;
        html! {
            @for (x, label) in self.axis.marks() {
                path class="g" d={ "M" (px(x)) "," (px(TOP - 8.0)) "V" (px(bottom)) } {}
                text class="s" x=(px(x)) y=(px(TOP - 14.0)) text-anchor="middle" { (label) }
                text class="s" x=(px(x)) y=(px(bottom + 16.0)) text-anchor="middle" { (label) }
            }
            text class="s" x="16" y=(px(TOP - 14.0)) { "since the first failure" }
        }
    }

    fn bodies(&self) -> Markup {
        let mut y = TOP;
        html! {
            @for group in &self.groups {
                (self.heading(group, y))
                ({ y += HEADING; "" })
                @for story in &group.rows {
                    (self.row(group, story, y))
                    ({ y += self.row; "" })
                }
                @if !group.more.is_empty() {
                    (self.band(group, y))
                    ({ y += BAND + 4.0; "" })
                }
                ({ y += 8.0; "" })
            }
        }
    }

    /// The holder's colour and name: the legend, where it is needed.
    fn heading(&self, group: &Group<'_>, y: f64) -> Markup {
        let (name, what) = group.heading(self.findings, self.end_ns());
        let name = xml::cut(&name, 90);
        let class = colour::class(group.colour(&self.colours));
        let base = y + 15.0;
        html! {
            rect class="bg" x="0" y=(px(y + 1.0)) width=(px(WIDTH)) height=(px(HEADING - 6.0)) {}
            rect class=(class) x="16" y=(px(base - 10.0)) width="11" height="11" rx="2" {}
            text x="34" y=(px(base)) {
                tspan class="n" { (name) }
                tspan class="s" dx="10" { (what) }
            }
        }
    }

    fn row(&self, group: &Group<'_>, story: &Story, y: f64) -> Markup {
        let class = colour::class(group.colour(&self.colours));
        let (start, end) = bar(story);
        let (x, until) = (self.axis.x(start), self.axis.x(end));
        let (middle, thick) = (y + self.row / 2.0, self.row - 4.0);
        let last = self.axis.left + self.axis.width;
        let name = match story.order {
            Some(order @ 1..) => format!("0x{:x} order {order}", story.pfn),
            _ => format!("0x{:x}", story.pfn),
        };
        html! {
            g {
                title { (self.told(story)) }
                text class="p" x=(px(LEFT - 8.0)) y=(px(middle + 3.5)) text-anchor="end" { (name) }
                @if story.is_held() {
                    @if last - x > 2.0 {
                        rect class=(class) x=(px(x)) y=(px(middle - thick / 2.0))
                            width=(px(last - x)) height=(px(thick)) mask="url(#tl-mask)" {}
                    }
                    path class="w" d={ "M" (px(last + 4.0)) "," (px(middle - 4.0)) "l4,4l-4,4" } {}
                } @else {
                    rect class=(class) x=(px(x)) y=(px(middle - thick / 2.0))
                        width=(px((until - x).max(2.0))) height=(px(thick)) rx="2" {}
                }
                @for at in failed_again(story) {
                    path class="k" d={ "M" (px(self.axis.x(at))) "," (px(middle - thick / 2.0 - 1.0))
                        "v" (px(thick + 2.0)) } {}
                }
            }
        }
    }

    /// Those that have no row: how many of them were held at each moment.
    fn band(&self, group: &Group<'_>, y: f64) -> Markup {
        let class = colour::class(group.colour(&self.colours));
        let end_ns = self.end_ns();
        let spans: Vec<_> = group
            .more
            .iter()
            .map(|story| match bar(story) {
                (start, _) if story.is_held() => (start, end_ns),
                bar => bar,
            })
            .collect();
        let counts = columns(&self.axis, &spans);
        let peak = counts.iter().copied().max().unwrap_or(0).max(1);
        let base = y + BAND;
        let step = self.axis.width / COLUMNS as f64;
        let mut d = format!("M{},{}", px(LEFT), px(base));
        let mut before = 0;
        for (n, &count) in counts.iter().enumerate() {
            if count != before {
                let x = px(LEFT + n as f64 * step);
                let top = px(base - (BAND - 8.0) * count as f64 / peak as f64);
                d += &format!("H{x}V{top}");
                before = count;
            }
        }
        d += &format!("H{}V{}z", px(LEFT + self.axis.width), px(base));
        let more = group.more.len();
        html! {
            g {
                title { (more) " more folios, of which up to " (peak) " were held at a time" }
                text class="p" x=(px(LEFT - 8.0)) y=(px(base - 18.0)) text-anchor="end" {
                    (more) " more,"
                }
                text class="p" x=(px(LEFT - 8.0)) y=(px(base - 6.0)) text-anchor="end" {
                    "up to " (peak) " at once"
                }
                path class=(class) d=(d) {}
                path class="g" d={ "M" (px(LEFT)) "," (px(base)) "h" (px(self.axis.width)) } {}
            }
        }
    }

    /// All there is to say of a folio, for who points at it.
    fn told(&self, story: &Story) -> String {
        let mut lines = vec![format!(
            "pfn 0x{:x}: {} failed at stage {}",
            story.pfn, story.reason, story.stage
        )];
        if let Some(order) = story.order {
            lines.push(format!("{}, order {order}", story.kind));
        }
        if story.attempts > 1 {
            lines.push(format!("{} attempts", story.attempts));
        }
        let since = story.marked_ns.saturating_sub(self.axis.start_ns) / 1000;
        lines.push(format!("first failed at {}", Time(since)));
        match story.let_go_us {
            Some(us) => lines.push(format!("let go {} later", Time(us))),
            None if story.is_held() => {
                let us = held_us(story, self.end_ns());
                lines.push(format!("held still {} later", Time(us)));
            }
            None => lines.push(format!("last heard of {} later", Time(story.age_us))),
        }
        if story.end == End::Freed {
            lines.push(format!("freed after {}", Time(story.age_us)));
        }
        if Who::of(story) == Who::Unwatched {
            lines.push("it was not watched, so that nobody can be named".into());
        }
        lines.join("\n")
    }
}

/// When a folio failed after the first time; of each place the first and the last are known.
fn failed_again(story: &Story) -> Vec<u64> {
    let times = |failure: &Failure| [failure.first_ns, failure.last_ns];
    let mut times: Vec<_> = story.failures.iter().flat_map(times).collect();
    times.sort_unstable();
    times.dedup();
    times.retain(|&at| at > story.marked_ns);
    times
}

/// How many of these spans each column of the axis is part of.
fn columns(axis: &Axis, spans: &[(u64, u64)]) -> Vec<u64> {
    let mut begin = vec![0u64; COLUMNS];
    let mut end = vec![0u64; COLUMNS];
    let column = |ns| {
        let part = (axis.x(ns) - axis.left) / axis.width;
        ((part * COLUMNS as f64) as usize).min(COLUMNS - 1)
    };
    for &(from, to) in spans {
        begin[column(from)] += 1;
        end[column(to)] += 1;
    }
    let mut open = 0;
    let counts = begin.iter().zip(&end).map(|(begin, end)| {
        let count = open + begin;
        open = count - end;
        count
    });
    counts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn rows(svg: &str) -> usize {
        let document = roxmltree::Document::parse(svg).unwrap();
        let titles = document
            .descendants()
            .filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "title")));
        titles
            .filter(|t| t.text().is_some_and(|t| t.starts_with("pfn")))
            .count()
    }

    #[test]
    fn one_row_for_each_folio() {
        let findings = testing::small();
        assert_eq!(rows(&svg(&findings, 200, true)), findings.stories.len());
    }

    #[test]
    fn many_are_bounded_and_it_is_said() {
        let findings = testing::big(5000);
        let svg = svg(&findings, 200, true);
        assert!(rows(&svg) <= 200);
        assert!(svg.contains("Of 5000 folios"), "{svg:.2000}");
        assert!(svg.len() < 300_000, "{}", svg.len());
    }

    #[test]
    fn nothing_and_one() {
        roxmltree::Document::parse(&svg(&Findings::default(), 200, true)).unwrap();
        let findings = testing::big(1);
        assert_eq!(rows(&svg(&findings, 200, false)), 1);
    }

    #[test]
    fn counts_of_columns() {
        let axis = Axis {
            start_ns: 0,
            span_ns: 340,
            left: 0.0,
            width: 680.0,
        };
        let counts = columns(&axis, &[(0, 340), (10, 20), (20, 20)]);
        assert_eq!(counts[0], 1);
        assert_eq!(counts[10], 2);
        assert_eq!(counts[20], 3);
        assert_eq!(counts[21], 1);
        assert_eq!(counts[339], 1);
    }

    #[test]
    fn times_beyond_reason() {
        let mut findings = testing::small();
        findings.stories[0].age_us = u64::MAX;
        findings.stories[0].let_go_us = Some(u64::MAX);
        roxmltree::Document::parse(&svg(&findings, 200, true)).unwrap();
    }
}
