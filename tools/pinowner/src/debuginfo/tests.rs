// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::machine::made::Made;
use proptest::prelude::*;
use std::process::Command;

/// `caller` calls by way of an inlined function; two functions have one name.
const SOURCE: &str = "\
void out(int);
static inline __attribute__((always_inline)) void inlined(int n)
{
	out(n);
	__asm__ volatile (\"nop\");
}
__attribute__((noinline)) void caller(int n)
{
	inlined(n + 1);
	__asm__ volatile (\"nop\");
}
";
const MAIN: &str = "\
void caller(int);
void out(int n) { __asm__ volatile (\"nop; nop\" :: \"r\"(n)); }
static void __attribute__((noinline)) twice(void) { out(3); out(4); }
int main(void)
{
	twice();
	caller(1);
	return 0;
}
";

/// Compiles both, to objects and to a program; `None` where there is no compiler.
fn compiled() -> Option<Made> {
    let made = Made::new()
        .with("source/mm/lib.c", SOURCE)
        .with("source/init/main.c", MAIN);
    let run = |arguments: &[&str]| {
        let status = Command::new("gcc")
            .args(arguments)
            .current_dir(&made.root)
            .status();
        status.is_ok_and(|status| status.success()).then_some(())
    };
    run(&["-g", "-O1", "-c", "-o", "my-lib.ko", "source/mm/lib.c"])?;
    run(&[
        "-g",
        "-O1",
        "-gz",
        "-o",
        "vmlinux",
        "source/init/main.c",
        "source/mm/lib.c",
    ])?;
    Some(made)
}

/// The frame of the first call in a function.
fn frame(image: &Image, function: &str, offset: u64, module: &str) -> Name {
    let symbol = &image.symbols[function][0];
    format!("{function}+0x{offset:x}/0x{:x}{module}", symbol.distance).into()
}

#[test]
fn lines_of_a_program() {
    let Some(made) = compiled() else {
        return;
    };
    let path = made.root.join("vmlinux");
    let mut debuginfo = Debuginfo::open(&path, None).expect("debug information");
    // The call is behind some instructions, and ends behind five bytes.
    let caller = frame(&debuginfo.vmlinux, "caller", 12, "");
    let told = debuginfo.frame(&caller);
    assert!(told.starts_with(&*caller), "{told}");
    assert!(
        told.contains("mm/lib.c:4 ") && told.ends_with("mm/lib.c:9)"),
        "{told}"
    );
    assert_eq!(debuginfo.frame(&caller), told);
    let unknown = Name::from("nobody+0x1/0x2");
    assert_eq!(debuginfo.frame(&unknown), unknown);
    assert_eq!(debuginfo.foreign, 0);
    let foreign = Name::from("caller+0x1/0x1234");
    assert_eq!(debuginfo.frame(&foreign), foreign);
    assert_eq!(debuginfo.foreign, 1);
    let mut findings = Findings::default();
    let stack = findings.stacks.entry(1).or_default();
    stack.frames = vec![caller, "garbage".into()];
    assert_eq!(debuginfo.annotate(&mut findings), 1);
    assert_eq!(findings.stacks[&1].frames, [told, "garbage".into()]);
}

#[test]
fn lines_of_a_module() {
    let Some(made) = compiled() else {
        return;
    };
    let path = made.root.join("vmlinux");
    let mut debuginfo = Debuginfo::open(&path, Some(&made.root)).expect("debug information");
    let module = Image::open(&made.root.join("my-lib.ko")).expect("debug information");
    let caller = frame(&module, "caller", 12, " [my_lib]");
    let told = debuginfo.frame(&caller);
    assert!(
        told.contains("mm/lib.c:4 ") && told.ends_with("mm/lib.c:9)"),
        "{told}"
    );
    let other = Name::from("caller+0x1/0x2 [other]");
    assert_eq!(debuginfo.frame(&other), other);
}

#[test]
fn no_debug_information() {
    let made = Made::new().with("text", "no ELF").with("empty", "");
    for name in ["text", "empty", "absent"] {
        assert!(Debuginfo::open(&made.root.join(name), None).is_err());
    }
}

#[test]
fn frames() {
    let parsed = Frame::parse("f.isra.0+0x10/0x20 [m]").expect("a frame");
    assert_eq!(
        (parsed.function, parsed.offset, parsed.size),
        ("f.isra.0", 16, 32)
    );
    assert_eq!(parsed.module, Some("m"));
    for text in [
        "",
        "f",
        "f+1/2",
        "0x1234",
        "f+0x1",
        "f+0x/0x1",
        "f+0x11111111111111111/0x2",
    ] {
        assert!(Frame::parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_frame(text in "(f|\\+|0x|[0-9a-f]{1,17}|/| \\[m|\\]|\\PC)*") {
        let _ = Frame::parse(&text);
    }

    /// A file that is damaged is an error, or tells wrong lines.
    #[test]
    fn any_damage(at in 0usize..20_000, byte: u8) {
        let Some(made) = compiled_once() else {
            return Ok(());
        };
        let mut bytes = made.clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        let made = Made::new().with("a", "");
        let path = made.root.join("a");
        std::fs::write(&path, bytes).expect("a file");
        if let Ok(mut debuginfo) = Debuginfo::open(&path, None) {
            debuginfo.frame(&"caller+0x5/0x10".into());
        }
    }
}

fn compiled_once() -> Option<&'static Vec<u8>> {
    static BYTES: std::sync::OnceLock<Option<Vec<u8>>> = std::sync::OnceLock::new();
    let bytes = BYTES.get_or_init(|| std::fs::read(compiled()?.root.join("my-lib.ko")).ok());
    bytes.as_ref()
}
