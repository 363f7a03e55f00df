// SPDX-License-Identifier: GPL-2.0

//! What is printed of what was captured. UPDATE_EXPECT=1 writes down what comes out now.

use expect_test::{ExpectFile, expect_file};
use pinowner::folded::{self, Weight};
use pinowner::gather::Gatherer;
use pinowner::source;
use pinowner::story::Findings;
use std::path::Path;

fn findings(name: &str) -> Findings {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    source::read(&data.join(name), Gatherer::new()).unwrap()
}

fn report(name: &str, expected: ExpectFile) {
    let mut text = Vec::new();
    pinowner::report::text(&findings(name), 20, &mut text).unwrap();
    expected.assert_eq(&String::from_utf8(text).unwrap());
}

#[test]
fn of_a_recording() {
    report("recording.txt", expect_file!["data/recording.report"]);
}

#[test]
fn of_a_trace_with_stacks_of_which_events_are_lost() {
    report("trace.txt", expect_file!["data/trace.report"]);
}

#[test]
fn of_trace_cmd() {
    report("trace-cmd.txt", expect_file!["data/trace-cmd.report"]);
}

#[test]
fn of_trace_cmd_with_stacks() {
    report(
        "trace-cmd-stacks.txt",
        expect_file!["data/trace-cmd-stacks.report"],
    );
}

#[test]
fn of_perf() {
    report("perf-script.txt", expect_file!["data/perf-script.report"]);
}

#[test]
fn stacks_for_a_flame_graph() {
    let findings = findings("recording.txt");
    let text = |weight| {
        let mut text = Vec::new();
        folded::text(&findings, weight, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    expect_file!["data/recording.folded"].assert_eq(&text(Weight::Folios));
    let time: u64 = text(Weight::Time)
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(time, findings.holders.iter().map(|h| h.sum_us).sum::<u64>());
}

#[test]
fn only_so_many_stories() {
    let mut text = Vec::new();
    pinowner::report::text(&findings("recording.txt"), 1, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("\n3 more stories, of 6 folios: see --limit\n"),
        "{text}"
    );
}
