// SPDX-License-Identifier: GPL-2.0

//! Whatever is read: nothing panics, and what is cut off is told as far as it goes.

use pinowner::event::{Event, Line};
use pinowner::gather::Gatherer;
use pinowner::recording::{Section, Writer};
use pinowner::source;
use pinowner::story::Findings;
use pinowner::tables;
use proptest::prelude::*;
use std::io;

const RECORDING: &str = include_str!("data/recording.txt");
const TRACES: [&str; 4] = [
    include_str!("data/trace.txt"),
    include_str!("data/trace-cmd.txt"),
    include_str!("data/trace-cmd-stacks.txt"),
    include_str!("data/perf-script.txt"),
];

fn read(bytes: &[u8]) -> anyhow::Result<Findings> {
    source::read_from(bytes, "test", None, Gatherer::new())
}

/// The recording as a file.
fn compressed(text: &str) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut section = Section::Unknown;
    for (n, line) in text.lines().skip(1).enumerate() {
        match Section::begun_by(line.as_bytes()) {
            Some(begun) => {
                section = begun;
                writer.table(section, b"").unwrap();
            }
            None => writer.line(section, line.as_bytes()).unwrap(),
        }
        if n % 16 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Nothing panics, whatever is made of it.
fn show(findings: &Findings) {
    pinowner::report::text(findings, usize::MAX, &mut io::sink()).unwrap();
    pinowner::json::text(findings, &mut io::sink()).unwrap();
    let weight = pinowner::folded::Weight::Time;
    pinowner::folded::text(findings, weight, &mut io::sink()).unwrap();
}

#[test]
fn a_recording_is_read_compressed_or_not() {
    let json = |findings: Findings| {
        let mut text = Vec::new();
        pinowner::json::text(&findings, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let plain = json(read(RECORDING.as_bytes()).unwrap());
    assert_eq!(plain, json(read(&compressed(RECORDING)).unwrap()));
    assert!(plain.contains("\"cut_off\":false"));
}

#[test]
fn a_recording_cut_off_anywhere_is_told_as_far_as_it_goes() {
    // Small, as each byte has its turn: two folios of it.
    let is_small = |line: &&str| !line.contains("pfn=") || line.contains("pfn=0x3b3f");
    let small: Vec<_> = RECORDING.lines().filter(is_small).collect();
    let whole = compressed(&small.join("\n"));
    let mut stories = 0;
    for end in 0..whole.len() {
        match read(&whole[..end]) {
            Ok(findings) => {
                // At the very end only the sum is missing that gzip adds.
                assert!(findings.losses.cut_off || end >= whole.len() - 8, "{end}");
                assert!(findings.stories.len() >= stories, "{end}");
                stories = findings.stories.len();
                show(&findings);
            }
            Err(error) => {
                assert_eq!(stories, 0, "{end}");
                assert_eq!(
                    pinowner::exit::Exit::of(&error),
                    pinowner::exit::Exit::Foreign
                );
            }
        }
    }
    assert_eq!(stories, 2);
}

#[test]
fn text_of_a_recording_cut_off_anywhere() {
    for end in (21..RECORDING.len()).step_by(487) {
        let findings = read(&RECORDING.as_bytes()[..end]).unwrap();
        show(&findings);
    }
}

#[test]
fn a_task_cannot_end_a_section() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for line in ["x", "[end]", "[lost]", "events=5"] {
        writer.line(Section::Events, line.as_bytes()).unwrap();
    }
    writer
        .pair(Section::Meta, "command", "a\n[lost]\nevents=5")
        .unwrap();
    let findings = read(&writer.finish().unwrap()).unwrap();
    assert!(!findings.losses.is_any());
    assert_eq!(findings.about["command"], "a [lost] events=5");
}

#[test]
fn sections_of_later_versions_are_passed_over() {
    let text = "pinowner recording 1\n[later]\nx=1\n[meta]\nhost=a\n[end]\n";
    let findings = read(text.as_bytes()).unwrap();
    assert_eq!(findings.about.len(), 1);
    assert!(!findings.losses.is_any());
}

#[test]
fn what_is_foreign() {
    let refused = |bytes: &[u8]| {
        let error = read(bytes).unwrap_err();
        assert_eq!(
            pinowner::exit::Exit::of(&error),
            pinowner::exit::Exit::Foreign
        );
        error.to_string()
    };
    assert_eq!(refused(b""), "test is empty");
    assert!(refused(b"pinowner recording 2\n").contains("format 2"));
    assert!(refused(b"#!/bin/sh\necho\n").contains("neither"));
    assert!(refused(b"\x7fELF\0\0\0").contains("neither"));
    assert!(refused(b"PERFILE2h\0\0\0").contains("perf script"));
    assert!(refused(b"\x17\x08\x44tracing6\0").contains("from a file only"));
    // Compressed, but no trace; and what only begins like that
    assert!(refused(&[0x1f, 0x8b, 8, 0, 1, 2, 3]).contains("neither"));
}

#[test]
fn a_line_of_any_length() {
    let mut text = b"# tracer: nop\n".to_vec();
    text.resize(10 << 20, b'x');
    text.extend(b"\nCPU:0 [LOST 3 EVENTS]\n");
    assert_eq!(read(&text).unwrap().losses.events, 3);
}

/// A line of those that were captured, changed in some places.
fn mutated(lines: Vec<&'static str>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    let changes = prop::collection::vec(change, 0..6);
    (prop::sample::select(lines), changes).prop_map(|(line, changes)| {
        let mut line = line.as_bytes().to_vec();
        for (at, byte, how) in changes {
            if line.is_empty() {
                break;
            }
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => drop(line.remove(at)),
                2 => line.insert(at, byte),
                _ => line.truncate(at),
            }
        }
        line
    })
}

fn all_lines() -> Vec<&'static str> {
    TRACES.iter().flat_map(|trace| trace.lines()).collect()
}

proptest! {
    #[test]
    fn any_line(line in prop::collection::vec(any::<u8>(), 0..300)) {
        Line::parse(&line);
        tables::stat(&line);
        tables::paragraphs(&line);
    }

    #[test]
    fn any_input(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(findings) = read(&bytes) {
            show(&findings);
        }
    }

    #[test]
    fn changed_traces(lines in prop::collection::vec(mutated(all_lines()), 0..100)) {
        let mut gatherer = Gatherer::new();
        for line in &lines {
            gatherer.trace_line(line);
        }
        show(&gatherer.finish());
    }

    #[test]
    fn changed_recordings(
        lines in prop::collection::vec(mutated(RECORDING.lines().collect()), 0..200)
    ) {
        let mut text = b"pinowner recording 1\n".to_vec();
        for line in lines {
            text.extend(line);
            text.push(b'\n');
        }
        show(&read(&text).unwrap());
    }

    #[test]
    fn damaged_files(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut file = compressed(RECORDING);
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(findings) = read(&file) {
            show(&findings);
        }
    }

    #[test]
    fn any_name_of_a_task(comm in "[^\n\0]{0,15}", pid: u32, cpu in 0..4096u32, us in 0..u64::MAX / 1000) {
        let line = format!(
            "{comm:>16}-{pid:<7} [{cpu:03}] ..... {:5}.{:06}: page_pin_owner_free: pfn=0x1 \
             reason=manual stage=manual puts=0 age_us=0 cause=forgotten",
            us / 1_000_000,
            us % 1_000_000,
        );
        let Line::Event(header, Event::Free(_)) = Line::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        prop_assert_eq!(header.comm, comm.as_bytes().trim_ascii());
        prop_assert_eq!((header.pid, header.cpu), (pid, cpu));
        prop_assert_eq!(header.time_ns, us * 1000);
    }
}
