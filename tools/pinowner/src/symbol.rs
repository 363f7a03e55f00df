// SPDX-License-Identifier: GPL-2.0

//! What the functions of a stack tell. Whose a stack is, is decided by the very lists the module
//! has.

use crate::story::{Class, Name};
use page_pin_owner_store::class;

/// The function of a frame that looks like `function+0x12/0x34 [module]`.
pub fn function(frame: &str) -> &str {
    frame.split(['+', ' ']).next().unwrap_or(frame)
}

impl From<class::Class> for Class {
    fn from(class: class::Class) -> Self {
        match class {
            class::Class::Holder => Class::Holder,
            class::Class::Migrator => Class::Migrator,
            class::Class::Lru => Class::Lru,
        }
    }
}

/// Whose a stack with these frames is.
pub fn class_of(frames: &[Name]) -> Class {
    let told = frames
        .iter()
        .find_map(|frame| class::Class::told_by(function(frame)));
    told.map_or(Class::Holder, Class::from)
}

/// The class by the name that tables have for it.
pub fn class_by_name(name: &str) -> Option<Class> {
    let all = [
        class::Class::Holder,
        class::Class::Migrator,
        class::Class::Lru,
    ];
    let class = all.into_iter().find(|class| class.name() == name)?;
    Some(class.into())
}

/// Where tasks come from: of no use to whoever looks for a holder.
fn is_entry(function: &str) -> bool {
    let starts = [
        "do_syscall_",
        "entry_SYSCALL_",
        "entry_INT80_",
        "x64_sys_call",
        "ret_from_fork",
        "el0t_64_",
        "el0_svc",
        "invoke_syscall",
        "do_el0_svc",
        "asm_exc_",
        "asm_sysvec_",
        "asm_common_interrupt",
    ];
    starts.iter().any(|start| function.starts_with(start))
}

/// The part of a stack that says something: without the functions that everybody calls to take or
/// give back a reference, nor the way from user space into the kernel. All of it, if nothing is
/// left of it.
pub fn telling(frames: &[Name]) -> &[Name] {
    let start = frames
        .iter()
        .position(|frame| class::is_telling(function(frame)));
    let end = frames
        .iter()
        .rposition(|frame| !is_entry(function(frame)))
        .map_or(0, |last| last + 1);
    match start {
        Some(start) if start < end => &frames[start..end],
        _ => frames,
    }
}

/// The part of the stack of a failure that says who wanted the folio to be moved: from the
/// outermost function on in which nothing is done but that.
pub fn attempt(frames: &[Name]) -> &[Name] {
    let start = frames
        .iter()
        .rposition(|frame| class::Class::told_by(function(frame)) == Some(class::Class::Migrator))
        .unwrap_or(0);
    telling(&frames[start..])
}

/// Is the function of the tracing's own, between a put and the stack that the kernel prints below
/// its event?
pub fn is_tracings(function: &str) -> bool {
    let starts = [
        "trace_event_",
        "perf_trace_",
        "perf_",
        "__traceiter_",
        "ppo_",
        "fprobe_",
        "ftrace_",
        "rethook_",
        "arch_rethook_",
        "arch_ftrace_",
        "function_graph_",
        "return_to_handler",
        "__page_ref_",
    ];
    starts.iter().any(|start| function.starts_with(start)) || function.contains("page_pin_owner")
}
