// SPDX-License-Identifier: GPL-2.0

//! What is said to the person at the terminal.

/// Says a line on standard error; if nobody listens that is no error.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "pinowner: {}", format_args!($($text)*));
    }};
}
