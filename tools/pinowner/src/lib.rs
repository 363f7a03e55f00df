// SPDX-License-Identifier: GPL-2.0

//! Who kept a page from migrating: records what the kernel module `page_pin_owner` tells, and
//! makes a story of it.
//!
//! ```text
//! tracefs, debugfs -> record -> recording (a file)
//!                                  |
//! trace, trace.dat, recording -> source -> event, tables -> gather -> story
//!                                                                      |
//!                                              report, json, folded, flame, timeline, html  <-+
//! ```
//!
//! What is read is whatever somebody hands in: nothing here panics or takes memory without bound
//! because of it.

pub mod alike;
pub mod check;
pub mod cli;
pub mod colour;
pub mod config;
pub mod cost;
pub mod debuginfo;
pub mod draw;
pub mod event;
pub mod exit;
pub mod flame;
pub mod folded;
pub mod gather;
pub mod html;
pub mod instance;
pub mod json;
pub mod kernel;
pub mod lines;
pub mod live;
pub mod machine;
pub mod manual;
pub mod names;
pub mod page_owner;
pub mod reasons;
pub mod record;
pub mod recording;
pub mod report;
pub mod say;
pub mod screen;
pub mod show;
pub mod signals;
pub mod source;
pub mod story;
pub mod symbol;
pub mod tables;
pub mod target;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod top;
pub mod watch;
pub mod xml;
pub mod zoneinfo;
