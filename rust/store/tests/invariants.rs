// SPDX-License-Identifier: GPL-2.0

//! Each invariant, broken: it is noticed, and called by its name.

use super::{failure, page_ext, Host};
use crate::depot::{Depot, Handle};
use crate::page_ext::PageExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The name of the invariant that is found broken in `f`.
fn found(f: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    let text = panic.downcast_ref::<String>().expect("a text");
    Some(text.strip_prefix("broken: ").expect(text).to_owned())
}

fn more(counter: &AtomicU32) {
    counter.fetch_add(1, Relaxed);
}

/// What breaks something.
type Break = fn(&PageExt);

/// Marks of three pages in two blocks, and a record that was freed.
fn marks(mem: &Host) -> PageExt {
    let marks = page_ext(10);
    for pfn in [1, 2, 3, 1000] {
        marks.mark(&failure(pfn, 0), mem, |_, _| ()).expect("room");
    }
    marks.forget(3, 1, |_| ());
    marks
}

/// What an audit finds after `broken`.
fn audit(broken: impl FnOnce(&PageExt)) -> Option<String> {
    let marks = marks(&Host::new(100));
    broken(&marks);
    found(|| marks.audit())
}

#[test]
fn an_audit_of_sound_marks_finds_nothing() {
    assert_eq!(audit(|_| ()), None);
}

#[test]
fn an_audit_of_marks_finds_what_is_broken() {
    let cases: [(&str, Break); 12] = [
        ("filter", |m| m.filter_counter(1).store(1, Relaxed)),
        ("filter", |m| more(m.filter_counter(1))),
        ("filter", |m| more(m.users_of_block(1))),
        ("filter", |m| m.entry_of(2).store(0, Relaxed)),
        ("busy_blocks", |m| more(m.busy_counter())),
        ("entry", |m| m.entry_of(1).store(4, Relaxed)),
        ("entry", |m| m.entry_of(1).store(1000, Relaxed)),
        ("live", |m| more(m.records().live_counter())),
        ("record_pages", |m| {
            m.records().pages_of(0).store(2, Relaxed)
        }),
        ("record_users", |m| more(m.records().state_of(0))),
        ("free_list", |m| m.records().free_list().store(0, Relaxed)),
        ("free_list", |m| m.records().free_list().store(2, Relaxed)),
    ];
    for (i, (name, broken)) in cases.into_iter().enumerate() {
        assert_eq!(audit(broken).as_deref(), Some(name), "case {i}");
    }
}

#[test]
fn what_costs_a_comparison_is_found_at_once() {
    let mem = &Host::new(100);
    let forget = |m: &PageExt| m.forget(1, 1, |_| ());
    let mark = |m: &PageExt| {
        let _ = m.mark(&failure(5, 0), &Host::new(9), |_, _| ());
    };
    type Case<'a> = (&'a str, Break, &'a dyn Fn(&PageExt));
    let cases: [Case<'_>; 7] = [
        ("filter", |m| m.users_of_block(1).store(0, Relaxed), &forget),
        (
            "busy_blocks",
            |m| {
                m.users_of_block(1).store(1, Relaxed);
                m.busy_counter().store(0, Relaxed);
            },
            &forget,
        ),
        ("entry", |m| m.entry_of(1).store(1000, Relaxed), &forget),
        (
            "live",
            |m| m.records().live_counter().store(0, Relaxed),
            &forget,
        ),
        (
            "record_pages",
            |m| m.records().pages_of(0).store(0, Relaxed),
            &forget,
        ),
        (
            "free_list",
            |m| m.records().free_list().store(1, Relaxed),
            &mark,
        ),
        ("free_list", |m| more(m.records().state_of(2)), &mark),
    ];
    for (i, (name, broken, step)) in cases.into_iter().enumerate() {
        let marks = marks(mem);
        broken(&marks);
        assert_eq!(found(|| step(&marks)).as_deref(), Some(name), "case {i}");
    }
}

#[test]
fn a_record_left_by_more_than_came_is_found() {
    let marks = marks(&Host::new(100));
    let user = marks.lookup(1).expect("marked");
    let state = marks.records().state_of(user.index());
    state.fetch_sub(1, Relaxed);
    assert_eq!(found(|| drop(user)).as_deref(), Some("record_users"));
}

#[test]
fn an_audit_of_stacks_finds_what_is_broken() {
    let mem = Host::new(100);
    type Case = (Option<&'static str>, fn(&Depot, Handle));
    let cases: [Case; 5] = [
        (None, |_, _| ()),
        // A frame, the hash, a chain that leads to itself, and one that ends too early.
        (Some("bucket"), |d, h| d.word(h, 12).store(9, Relaxed)),
        (Some("bucket"), |d, h| {
            d.word(h, 1).fetch_xor(1, Relaxed);
        }),
        (Some("bucket"), |d, h| {
            d.word(h, 0).fetch_or(h.0.into(), Relaxed);
        }),
        (Some("handle"), |d, h| {
            d.word(h, 0).fetch_or(1 << 31, Relaxed);
        }),
    ];
    for (i, (name, broken)) in cases.into_iter().enumerate() {
        let depot = Depot::new();
        depot.set_cap(1 << 20);
        depot.refill(&mem);
        let handle = depot.save(&[1, 2, 3]);
        // `save` may run into what is broken before the audit does.
        let what = found(|| {
            broken(&depot, handle);
            depot.save(&[1, 2, 3, 4]);
            depot.audit();
        });
        assert_eq!(what.as_deref(), name, "case {i}");
        // SAFETY: The test is the only user.
        unsafe { depot.drain(&mem) };
    }
}
