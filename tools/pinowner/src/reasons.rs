// SPDX-License-Identifier: GPL-2.0

//! For what the running kernel moves folios. It says so itself, where it tells how an event of its
//! own is printed; two more are the module's.

use crate::exit::{Exit, Failure};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// No migration has these.
const OURS: [&str; 2] = ["hwpoison", "manual"];

/// Refuses what is none of the kernel's reasons. One that does not say which it has takes any.
///
/// # Errors
///
/// [`Exit::Usage`], with those that there are.
pub fn check(tracefs: &Path, asked: &[String]) -> Result<()> {
    let format = tracefs.join("events/migrate/mm_migrate_pages/format");
    let format = fs::read_to_string(format).unwrap_or_default();
    let mut known = names(&format);
    if known.is_empty() {
        return Ok(());
    }
    known.extend(OURS);
    match asked
        .iter()
        .find(|reason| !known.contains(&reason.as_str()))
    {
        Some(foreign) => {
            let known = known.join(", ");
            let sentence = format!("the kernel has no reason '{foreign}'; it has {known}");
            Err(Failure::new(Exit::Usage, sentence).into())
        }
        None => Ok(()),
    }
}

/// The names in `__print_symbolic(REC->reason, {0, "compaction"}, ...)`.
fn names(format: &str) -> Vec<&str> {
    let Some((_, list)) = format.split_once("__print_symbolic(REC->reason") else {
        return Vec::new();
    };
    let list = list.split(')').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_format() {
        let format = "print fmt: \"mode=%s reason=%s\", __print_symbolic(REC->mode, {0, \
            \"MIGRATE_ASYNC\"}), __print_symbolic(REC->reason, {0, \"compaction\"}, {9, \"damon\"})\n";
        assert_eq!(names(format), ["compaction", "damon"]);
        assert_eq!(names("print fmt: \"\", REC->reason"), [""; 0]);
        assert_eq!(names("__print_symbolic(REC->reason, {0, \"a"), ["a"]);
    }
}
