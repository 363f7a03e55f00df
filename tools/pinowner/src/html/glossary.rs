// SPDX-License-Identifier: GPL-2.0

//! The words that a person may not know, in a sentence each.

use crate::story::Findings;
use maud::{Markup, html};
use std::collections::BTreeSet;

/// What the kernel wanted, after "the kernel wanted to".
pub fn purpose(reason: &str) -> &'static str {
    match reason {
        "compaction" => "make room for large blocks",
        "memory_failure" => "take failing memory out of use",
        "memory_hotplug" => "take a block of memory offline",
        "syscall_or_cpuset" => "move memory to another node, as a program asked",
        "mempolicy_mbind" => "move memory to where its policy says",
        "numa_misplaced" => "bring memory near to who uses it",
        "contig_range" => "allocate one contiguous range, as for a device from CMA",
        "longterm_pin" => "pin memory for long, for which it has to be elsewhere",
        "demotion" => "move cold memory to a slower tier",
        "damon" => "move memory as DAMON's schemes say",
        "hwpoison" => "take memory with a hard error out of use",
        "manual" => "move nothing, but was told by hand to look at them",
        _ => "move them",
    }
}

fn stage(stage: &str) -> Option<&'static str> {
    Some(match stage {
        "migrate" => "It was taken off its lists, and then could not be copied to another place.",
        "isolate" => "It could not even be taken off its lists, the first step of moving it.",
        "poison" => "It was taken out of use for an error of the memory while somebody had it.",
        "manual" => "It was marked by hand.",
        _ => return None,
    })
}

const WORDS: [(&str, &str); 9] = [
    (
        "folio",
        "A page of memory, or several side by side that the kernel handles as one; of order n it has 2^n pages.",
    ),
    ("pfn", "The number of a page of physical memory."),
    (
        "reference",
        "What whoever uses a folio has of it. As long as somebody has one that the kernel cannot account for, the folio cannot be moved.",
    ),
    (
        "FOLL_PIN",
        "A stronger reference, of who reads or writes the memory directly, mostly a device: direct I/O, io_uring, RDMA, VFIO. It counts 1024 for a folio of one page.",
    ),
    ("get, put", "To take a reference, and to give it back."),
    (
        "holder",
        "Who had a reference that kept the folio where it was.",
    ),
    (
        "held still",
        "Not given back when the recording ended. Who that is can be told only of pages that were watched before.",
    ),
    (
        "stack",
        "Functions of the kernel that had called each other when a reference was taken or given back.",
    ),
    (
        "besides",
        "Puts that are no holder's: the kernel's own while it tries to move a folio, and batches of its LRU lists.",
    ),
];

/// The section, with its heading: only those reasons and stages that occur.
pub fn section(findings: &Findings) -> Markup {
    let failures = || findings.stories.iter().flat_map(|story| &story.failures);
    let reasons: BTreeSet<&str> = failures().map(|f| &*f.reason).collect();
    let stages: BTreeSet<&str> = failures().map(|f| &*f.stage).collect();
    html! {
        section id="words" aria-labelledby="words-h" {
            h2 id="words-h" { "Words" }
            dl class="words" {
                @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } }
                @for reason in reasons {
                    dt { "reason " code { (reason) } } dd { "The kernel wanted to " (purpose(reason)) "." }
                }
                @for name in stages { @if let Some(meaning) = stage(name) {
                    dt { "stage " code { (name) } } dd { (meaning) }
                } }
            }
        }
    }
}
