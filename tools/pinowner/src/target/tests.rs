// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::machine::made::Made;
use proptest::prelude::*;

fn with(files: &[(&str, &str)]) -> Made {
    files
        .iter()
        .fold(Made::new(), |made, (path, text)| made.with(path, text))
}

impl Made {
    fn find(&self, text: &str) -> Result<Found, String> {
        let places = Places {
            machine: self.machine(),
            debugfs: self.root.join("sys/kernel/debug"),
            page_size: 4096,
        };
        let target = text.parse::<Target>()?;
        places.find(&target).map_err(|e| e.to_string())
    }
}

fn pages(pages: Range<u64>) -> Result<Found, String> {
    Ok(pages.into())
}

#[test]
fn forms() {
    let of = |text: &str| text.parse::<Target>();
    assert_eq!(of("0x10-0x1f"), Ok(Target::Pages(16..32)));
    assert_eq!(of("16+16"), Ok(Target::Pages(16..32)));
    assert_eq!(of("0x10"), Ok(Target::Pages(16..17)));
    assert_eq!(of("node:1:Movable"), Ok(Target::Zone(1, "Movable".into())));
    assert_eq!(of("cma:"), Ok(Target::Cma(String::new())));
    for wrong in [
        "",
        "cma",
        "block:x",
        "node:1",
        "node::x",
        "5-4",
        "5+0",
        "1-2-3",
        "-1",
        "+",
        "all",
        "0-0xffffffffffffffff",
        "0xffffffffffffffff",
        "0xffffffffffffffff+2",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    let shown = |text: &str| of(text).map(|target| target.to_string());
    for text in ["cma:a b", "block:7", "node:0:movable", "0x7", "0x10-0x1f"] {
        assert_eq!(shown(text), Ok(text.to_owned()));
    }
}

#[test]
fn cma_areas() {
    let made = with(&[
        ("sys/kernel/debug/cma/reserved/base_pfn", "131072\n"),
        ("sys/kernel/debug/cma/reserved/count", "4096\n"),
        ("sys/kernel/debug/cma/odd/base_pfn", "many\n"),
        ("sys/kernel/debug/cma/odd/count", "1\n"),
        ("sys/kernel/debug/cma/off/base_pfn", "259584\n"),
        ("sys/kernel/debug/cma/off/count", "0\n"),
        ("sys/kernel/debug/cma/split/ranges/0/base_pfn", "1\n"),
        ("sys/kernel/debug/cma/split/ranges/1/base_pfn", "9\n"),
    ]);
    assert_eq!(made.find("cma:reserved"), pages(131_072..135_168));
    let error = "there is no CMA area 'linux,cma'; there is odd, off, reserved, split";
    assert_eq!(made.find("cma:linux,cma"), Err(error.to_owned()));
    assert!(made.find("cma:../cma/reserved").is_err());
    assert!(
        made.find("cma:off")
            .is_err_and(|e| e.contains("has no pages"))
    );
    assert!(
        made.find("cma:odd")
            .is_err_and(|e| e.ends_with("'many' is no number"))
    );
    assert!(
        made.find("cma:split")
            .is_err_and(|e| e.contains("in 2 places"))
    );
    let none = with(&[]);
    assert!(
        none.find("cma:x")
            .is_err_and(|e| e.contains("CONFIG_CMA_DEBUGFS"))
    );
}

#[test]
fn blocks() {
    let made = with(&[
        ("sys/devices/system/memory/block_size_bytes", "8000000\n"),
        ("sys/devices/system/memory/memory0/state", "online\n"),
        ("sys/devices/system/memory/memory1/state", "online\n"),
        ("sys/devices/system/memory/memory32/state", "offline\n"),
    ]);
    assert_eq!(made.find("block:1"), pages(0x8000..0x10000));
    let note = made.find("block:32").map(|found| found.note);
    assert_eq!(note, Ok(Some("memory block 32 is offline".to_owned())));
    let error = "there is no memory block 2; there is 0 to 1, 32";
    assert_eq!(made.find("block:2"), Err(error.to_owned()));
    let none = with(&[]);
    assert!(
        none.find("block:0")
            .is_err_and(|e| e.contains("CONFIG_MEMORY_HOTPLUG"))
    );
}

#[test]
fn zones_of_nodes() {
    let zoneinfo = "Node 0, zone      DMA\n  spanned  4095\n  present  3998\n  start_pfn:  1\n\
        Node 0, zone  Movable\n  spanned  0\n  present  0\n  start_pfn:  0\n\
        Node 1, zone  Movable\n  spanned  100\n  present  90\n  start_pfn:  4096\n";
    let made = with(&[("proc/zoneinfo", zoneinfo)]);
    let found = Found {
        pages: 4096..4196,
        note: Some("10 of these pages are holes in memory".to_owned()),
    };
    assert_eq!(made.find("node:1:movable"), Ok(found));
    let error = "there is no memory in node:0:movable (booted with movablecore= or movable_node \
        there is); there is node:0:dma, node:1:movable";
    assert_eq!(made.find("node:0:movable"), Err(error.to_owned()));
}

proptest! {
    #[test]
    fn any_name(text in "(cma:|block:|node:|movable|0x|[0-9a-f]{1,17}|-|\\+|:|\\PC)*") {
        if let Ok(target) = text.parse::<Target>() {
            let _ = target.to_string();
        }
    }
}
