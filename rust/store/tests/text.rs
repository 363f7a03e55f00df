// SPDX-License-Identifier: GPL-2.0

//! What is read as text: reasons, commands, the names of functions.

use crate::class::Class;
use crate::command::{Command, Malformed};
use crate::reason::{Reason, ReasonSet};
use proptest::prelude::*;

#[test]
fn a_function_tells_whatever_a_compiler_made_of_it() {
    for (function, class) in [
        ("folio_batch_move_lru", Class::Lru),
        ("lru_add_drain_cpu_zone", Class::Lru),
        ("mlock_folio_batch", Class::Lru),
        ("migrate_hugetlbs", Class::Migrator),
        ("migrate_pages_batch", Class::Migrator),
        ("soft_offline_page", Class::Migrator),
        ("handle_softirqs", Class::Holder),
        ("asm_sysvec_irq_work", Class::Holder),
    ] {
        for suffix in [
            "",
            ".part.0",
            ".isra.0",
            ".constprop.0.isra.12",
            ".cold",
            ".llvm.123",
        ] {
            let name = format!("{function}{suffix}");
            assert_eq!(Class::told_by(&name), Some(class), "{name}");
        }
    }
    for function in [
        "",
        ".",
        "folio_put",
        "__fput",
        "lru_add",
        "x.migrate_pages",
        "*",
    ] {
        assert_eq!(Class::told_by(function), None, "{function}");
    }
}

/// The class of a stack, innermost function first.
fn class(stack: &str) -> Class {
    stack
        .split_whitespace()
        .find_map(Class::told_by)
        .unwrap_or(Class::Holder)
}

#[test]
fn whoever_had_the_folio_is_a_holder() {
    for stack in [
        // A pipe is closed, read, or given away.
        "page_cache_pipe_buf_release free_pipe_info pipe_release __fput __x64_sys_close \
         do_syscall_64 entry_SYSCALL_64_after_hwframe",
        "generic_pipe_buf_release pipe_read vfs_read ksys_read do_syscall_64",
        "folio_put_refs gup_put_folio unpin_user_pages gup_test_release __fput task_work_run",
        "gup_put_folio unpin_user_folio io_release_ubuf io_buffer_unmap io_put_rsrc_node",
        "folios_put_refs free_pages_and_swap_cache tlb_batch_pages_flush tlb_finish_mmu \
         unmap_region do_vmi_align_munmap __vm_munmap",
        "bio_release_pages.part.0 __iomap_dio_bio_end_io blk_update_request",
        "__folio_batch_release shmem_undo_range shmem_evict_inode evict __dentry_kill",
        // Reclaim had it isolated.
        "move_folios_to_lru shrink_lruvec shrink_node balance_pgdat kswapd",
        // Names that only begin like others, or are parts of them.
        "memory_failure_work_func do_mbind_range offline_pages_store xmigrate_pages lru_add",
        "",
    ] {
        assert_eq!(class(stack), Class::Holder, "{stack}");
    }
}

#[test]
fn whoever_tries_to_move_the_folio_is_a_migrator() {
    for stack in [
        "folio_put try_to_migrate_one rmap_walk_anon try_to_migrate migrate_pages_batch \
         migrate_pages __alloc_contig_migrate_range alloc_contig_range_noprof cma_alloc",
        "folio_putback_lru putback_movable_pages __alloc_contig_migrate_range \
         alloc_contig_range_noprof cma_alloc_write simple_attr_write_xsigned.constprop.0.isra.0",
        "migrate_folio_undo_src.isra.0 migrate_pages_batch migrate_pages_sync migrate_pages",
        "isolate_migratepages_block compact_zone compact_node sysctl_compaction_handler",
        "isolate_movable_page.part.0 isolate_folio_to_list do_migrate_range offline_pages",
        "ppo_isolation_probe test_pages_isolated offline_pages memory_subsys_offline",
        "soft_offline_page.cold soft_offline_page_store dev_attr_store",
        "put_page memory_failure hard_offline_page_store",
        "add_folio_for_migration do_pages_move kernel_move_pages __x64_sys_move_pages",
        "folio_put migrate_misplaced_folio_prepare do_numa_page handle_pte_fault",
        "unpin_user_pages check_and_migrate_movable_pages_or_folios __gup_longterm_locked",
        "folio_put do_mbind kernel_mbind __x64_sys_mbind",
        "remove_migration_pte rmap_walk_file remove_migration_ptes migrate_folio_move",
        // Reclaim unmaps and puts back as migration does.
        "try_to_unmap_one rmap_walk_file try_to_unmap shrink_folio_list shrink_lruvec",
        "folio_putback_lru madvise_cold_or_pageout_pte_range walk_pgd_range",
    ] {
        assert_eq!(class(stack), Class::Migrator, "{stack}");
    }
}

#[test]
fn an_lru_batch_is_one_whoever_empties_it() {
    for stack in [
        "folios_put_refs folio_batch_move_lru lru_add_drain_cpu lru_add_drain_per_cpu \
         process_one_work worker_thread kthread",
        "folios_put_refs folio_batch_move_lru.part.0 lru_add_drain_cpu lru_add_drain \
         __folio_batch_release truncate_inode_pages_range",
        "folios_put_refs folio_batch_move_lru __folio_batch_add_and_move folio_add_lru \
         shmem_get_folio_gfp shmem_fault",
        "folios_put_refs mlock_folio_batch mlock_drain_local lru_add_drain exit_mmap",
        "folios_put_refs lru_add_drain_cpu_zone compact_zone compact_zone_order",
        // The innermost that tells decides.
        "folios_put_refs folio_batch_move_lru lru_add_drain_cpu lru_add_drain_all.isra.0 \
         alloc_contig_range_noprof cma_alloc",
    ] {
        assert_eq!(class(stack), Class::Lru, "{stack}");
    }
    // And the other way round.
    let stack = "folio_put migrate_pages_batch lru_add_drain_cpu";
    assert_eq!(class(stack), Class::Migrator);
}

#[test]
fn what_was_interrupted_has_no_part_in_a_put() {
    for entry in [
        "asm_common_interrupt",
        "asm_sysvec_apic_timer_interrupt",
        "asm_exc_page_fault",
        "asm_fred_entrypoint_kernel",
        "el1h_64_irq",
        "handle_softirqs",
        "__do_softirq",
    ] {
        let put = "bio_release_pages bio_endio blk_mq_complete_request";
        let stack = format!("{put} {entry} migrate_pages_batch migrate_pages");
        assert_eq!(class(&stack), Class::Holder, "{stack}");
        let stack = format!("folio_batch_move_lru folio_rotate_reclaimable {entry} migrate_pages");
        assert_eq!(class(&stack), Class::Lru, "{stack}");
    }
}

#[test]
fn a_class_has_a_name_of_its_own() {
    let names = [Class::Holder, Class::Migrator, Class::Lru].map(Class::name);
    assert_eq!(names, ["holder", "migrator", "lru"]);
    assert!(Class::Holder < Class::Migrator && Class::Migrator < Class::Lru);
}

#[test]
fn commands_are_understood_in_these_forms_alone() {
    let add = |pfn, count| Ok(Command::Add { pfn, count });
    let remove = |pfn, count| Ok(Command::Remove { pfn, count });
    let (form, range) = (Err(Malformed::Form), Err(Malformed::Range));
    for (text, command) in [
        ("5", add(5, 1)),
        ("5\n", add(5, 1)),
        ("0 1", add(0, 1)),
        ("0x1aF 0X10\n", add(0x1af, 16)),
        ("007 0010", add(7, 10)),
        ("-5", remove(5, 1)),
        ("-0xff 3\n", remove(0xff, 3)),
        ("clear", Ok(Command::Clear)),
        ("clear\n", Ok(Command::Clear)),
        // The last page there can be.
        ("18446744073709551614", add(u64::MAX - 1, 1)),
        ("0 18446744073709551615", add(0, u64::MAX)),
        ("0xfffffffffffffffe 1", add(u64::MAX - 1, 1)),
        // Too much, or nothing.
        ("18446744073709551615", range),
        ("18446744073709551616", range),
        ("0x10000000000000000", range),
        ("5 18446744073709551611", range),
        ("-1 18446744073709551615", range),
        ("5 0", range),
        ("-5 0x0", range),
        ("99999999999999999999 1", range),
        ("", form),
        ("\n", form),
        ("-", form),
        ("--5", form),
        ("+5", form),
        ("- 5", form),
        ("5 -1", form),
        ("5 +1", form),
        ("0x", form),
        ("0x -1", form),
        ("x5", form),
        ("5x", form),
        ("0b1", form),
        ("1_000", form),
        ("ff", form),
        ("0xfg", form),
        (" 5", form),
        ("5 ", form),
        ("5  6", form),
        ("5\t6", form),
        ("5 6 7", form),
        ("5,6", form),
        ("5\n\n", form),
        ("5\n6", form),
        ("5\0", form),
        ("Clear", form),
        ("clear ", form),
        ("clear all", form),
        ("-clear", form),
        ("clear\n\n", form),
        ("\u{665}", form),
    ] {
        assert_eq!(Command::parse(text.as_bytes()), command, "{text:?}");
    }
}

/// As somebody would write it.
fn print(command: Command, hexadecimal: bool) -> String {
    let (sign, pfn, count) = match command {
        Command::Add { pfn, count } => ("", pfn, count),
        Command::Remove { pfn, count } => ("-", pfn, count),
        Command::Clear => return "clear".into(),
    };
    match hexadecimal {
        true => format!("{sign}{pfn:#x} {count:#x}\n"),
        false => format!("{sign}{pfn} {count}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_command_or_an_error(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..24),
            "-?(0x)?[0-9a-f]{0,18}( (0x)?[0-9]{0,3})?\n?".prop_map(String::into_bytes),
            "[-0-9x clear\n]{0,8}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(command) = Command::parse(&text) {
            if let Command::Add { pfn, count } | Command::Remove { pfn, count } = command {
                prop_assert!(count != 0 && pfn.checked_add(count).is_some());
            }
            for hexadecimal in [false, true] {
                let printed = print(command, hexadecimal);
                prop_assert_eq!(Command::parse(printed.as_bytes()), Ok(command));
            }
        }
    }

    #[test]
    fn every_command_can_be_written(pfn: u64, count: u64, removes: bool, hexadecimal: bool) {
        let command = match removes {
            true => Command::Remove { pfn, count },
            false => Command::Add { pfn, count },
        };
        let is_sound = count != 0 && pfn.checked_add(count).is_some();
        let expected = is_sound.then_some(command).ok_or(Malformed::Range);
        prop_assert_eq!(Command::parse(print(command, hexadecimal).as_bytes()), expected);
    }

    #[test]
    fn any_text_for_reasons_is_names_or_an_error(text in "[a-c,\n ]{0,12}") {
        let names = ["a", "bc", "c"];
        let set = ReasonSet::parse(text.as_bytes(), names.iter().map(|n| n.as_bytes()));
        let words: Vec<_> = text.trim().split(',').map(str::trim).collect();
        let expected = words.iter().all(|w| names.contains(w));
        prop_assert_eq!(set.is_ok(), expected);
        if let Ok(set) = set {
            for (i, name) in (0u8..).zip(names) {
                prop_assert_eq!(set.contains(Reason(i)), words.contains(&name));
            }
        }
    }
}

#[test]
fn reasons_are_all_or_names() {
    let names = || ["compaction", "contig_range"].iter().map(|n| n.as_bytes());
    let all = ReasonSet::parse(b"all\n", names()).expect("all");
    assert!((0..32).all(|i| all.contains(Reason(i))) && !all.contains(Reason(32)));
    let one = ReasonSet::parse(b"contig_range\n", names()).expect("one");
    assert!(one.contains(Reason(1)) && !one.contains(Reason(0)));
    for bad in [
        &b""[..],
        b"\n",
        b"contig",
        b"contig_range,",
        b",",
        b"all,compaction",
        b"\0\xff",
    ] {
        assert!(ReasonSet::parse(bad, names()).is_err(), "{bad:?}");
    }
}
