// SPDX-License-Identifier: GPL-2.0

use crate::limit::Limit;
use std::sync::atomic::{AtomicU32, Ordering};

const SECOND: u64 = 1_000_000_000;

fn taken(limit: &Limit, now: u64, rate: u32) -> usize {
    (0..100).filter(|_| limit.take(now, rate)).count()
}

#[test]
fn so_many_a_second_and_no_more() {
    let limit = Limit::new();
    assert_eq!(taken(&limit, 7 * SECOND, 3), 3);
    assert_eq!(taken(&limit, 8 * SECOND - 1, 3), 0);
    assert_eq!(taken(&limit, 8 * SECOND, 3), 3);
}

#[test]
fn no_rate_is_no_limit() {
    assert_eq!(taken(&Limit::new(), 7 * SECOND, 0), 100);
}

#[test]
fn a_rate_may_change_within_a_second() {
    let limit = Limit::new();
    assert_eq!(taken(&limit, SECOND, 3), 3);
    assert_eq!(taken(&limit, SECOND, 5), 2);
    assert_eq!(taken(&limit, SECOND, 4), 0);
}

#[test]
fn who_read_the_clock_earlier_opens_no_new_window() {
    let limit = Limit::new();
    assert_eq!(taken(&limit, 8 * SECOND, 3), 3);
    assert_eq!(taken(&limit, 7 * SECOND, 3), 0);
    assert_eq!(taken(&limit, 8 * SECOND, 3), 0);
}

#[test]
fn threads_get_no_more_than_one_would() {
    let (limit, taken) = (Limit::new(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for now in 0..100_000 {
                    if limit.take(now, 1000) {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::Relaxed), 1000);
}
