// SPDX-License-Identifier: GPL-2.0

//! Findings for tests of what draws them.

use crate::gather::Gatherer;
use crate::source;
use crate::story::Findings;
use std::fmt::Write;

/// Those of a recording of a machine in which pages were pinned.
pub fn small() -> Findings {
    let text: &[u8] = include_bytes!("../tests/data/recording.txt");
    source::read_from(text, "recording.txt", None, Gatherer::new()).unwrap()
}

/// Those of so many folios, of three holders and more tasks.
pub fn big(folios: u64) -> Findings {
    let mut text = String::from("# tracer: nop\n");
    for n in 0..folios {
        let (pfn, at) = (0x40000 + n, 10_000_000 + n * 500);
        let stack = 7 + n % 3;
        writeln!(
            text,
            " sh-9 [000] ..... {}.{:06}: report_page_pinners: pfn=0x{pfn:x} flags=uptodate count=3 \
             mapcount=1 mapping=00000000ddcb0d99 mt=5 reason=contig_range err=1 stage=migrate \
             expected=2 order=0 stack=3",
            at / 1_000_000,
            at % 1_000_000
        )
        .unwrap();
        let (age, at) = (10_000 + n, at + 10_000 + n);
        writeln!(
            text,
            " fio-{} [001] ..... {}.{:06}: page_pin_owner_put: pfn=0x{pfn:x} flags=uptodate count=1 \
             mapcount=1 mapping=00000000ddcb0d99 mt=5 reason=contig_range stage=migrate refs=1 \
             age_us={age} last=0 stack={stack}",
            100 + n % 7,
            at / 1_000_000,
            at % 1_000_000
        )
        .unwrap();
    }
    source::read_from(text.as_bytes(), "generated", None, Gatherer::new()).unwrap()
}
