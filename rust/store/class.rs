// SPDX-License-Identifier: GPL-2.0

//! Whether a put is a holder's, or part of the noise that follows every failure. The innermost
//! function of its stack that tells decides:
//!
//! ```text
//! frames.find_map(|frame| Class::told_by(name_of(frame))).unwrap_or(Class::Holder)
//! ```

/// Who makes the puts of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody who had the folio.
    Holder,
    /// The kernel, trying to move it: unmapping, putting back, looking at it.
    Migrator,
    /// A per-CPU batch of the LRU lists being emptied.
    Lru,
}

/// Functions in which everything is done to move folios, or to see whether they can be moved.
/// Whatever they call is the migrator's; a trailing `*` stands for any end. File by file of mm/,
/// with the names of inlined callers where a compiler may choose otherwise.
const MIGRATOR: [&str; 29] = [
    // migrate.c and migrate_device.c
    "migrate_pages*",
    "migrate_folio*",
    "migrate_hugetlbs",
    "unmap_and_move*",
    "migrate_misplaced_folio*",
    "migrate_device_*",
    "migrate_vma_*",
    "remove_migration_pte*",
    "isolate_movable_*",
    "isolate_folio_to_list",
    "putback_movable_*",
    "do_pages_move",
    // compaction.c
    "compact_zone*",
    "isolate_migratepages*",
    // rmap.c
    "try_to_migrate*",
    "try_to_unmap*",
    // vmscan.c and hugetlb.c
    "folio_putback_*",
    // page_alloc.c and page_isolation.c
    "alloc_contig_*",
    "__alloc_contig_*",
    "test_pages_isolated",
    // memory_hotplug.c and memory-failure.c
    "offline_pages",
    "do_migrate_range",
    "soft_offline_*",
    "memory_failure",
    "unpoison_memory",
    // mempolicy.c
    "do_mbind",
    // gup.c: out of CMA, before pages are pinned for long
    "check_and_migrate_movable_*",
    "collect_longterm_unpinnable_*",
    "migrate_longterm_unpinnable_*",
];

/// Functions that empty the LRU batches of swap.c and mlock.c, also when one is full.
const LRU: [&str; 6] = [
    "lru_add_drain*",
    "lru_add_and_bh_lrus_drain",
    "folio_batch_move_lru",
    "__folio_batch_add_and_move",
    "folio_batch_add_and_move",
    "mlock_folio_batch",
];

/// Where an interrupt, a fault or a softirq begins. What it interrupted has no part in it.
const ENTRY: [&str; 7] = [
    "asm_common_interrupt",
    "asm_sysvec_*",
    "asm_exc_*",
    "asm_fred_*",
    "el1h_64_*",
    "handle_softirqs",
    "__do_softirq",
];

/// Functions that everybody calls who takes or gives back references.
const MIDDLEMEN: [&str; 33] = [
    // page_ref.h and mm.h, where a compiler does not inline them
    "page_ref_*",
    "folio_ref_*",
    "folio_try_get*",
    "folio_get",
    "get_page",
    "try_get_page",
    "folio_put",
    "folio_put_refs",
    "put_page",
    "put_page_testzero",
    // gup.c
    "try_get_folio*",
    "try_grab_folio*",
    "gup_fast_fallback*",
    "gup_put_folio*",
    "get_user_pages_fast*",
    "pin_user_pages_fast*",
    "pin_user_pages_remote*",
    "__get_user_pages*",
    "follow_page*",
    "__gup_longterm_locked*",
    "unpin_user_page*",
    // lib/iov_iter.c
    "__iov_iter_get_pages_alloc*",
    "iov_iter_get_pages2*",
    "iov_iter_extract_pages*",
    // filemap.c
    "filemap_get_entry*",
    "filemap_get_read_batch*",
    "__filemap_get_folio*",
    // shmem.c
    "shmem_get_folio*",
    "shmem_read_folio*",
    // swap.c
    "folios_put_refs*",
    "__folio_put*",
    "__folio_batch_release*",
    "release_pages*",
];

/// Is `function` in one of the patterns? A compiler's suffix, as in `folio_batch_move_lru.part.0`,
/// does not matter.
fn is_in(function: &str, patterns: &[&str]) -> bool {
    let plain = function.split('.').next().unwrap_or(function);
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => plain.starts_with(start),
            None => plain == *pattern,
        })
}

/// Does the function say something of who takes or gives back a reference? All others are called
/// by it for that.
pub fn is_telling(function: &str) -> bool {
    !is_in(function, &MIDDLEMEN)
}

impl Class {
    /// The name used in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Holder => "holder",
            Class::Migrator => "migrator",
            Class::Lru => "lru",
        }
    }

    /// What a stack is that has this function in it, if that tells; the innermost that does decides,
    /// and none makes a holder.
    pub fn told_by(function: &str) -> Option<Self> {
        if is_in(function, &LRU) {
            Some(Class::Lru)
        } else if is_in(function, &MIGRATOR) {
            Some(Class::Migrator)
        } else if is_in(function, &ENTRY) {
            Some(Class::Holder)
        } else {
            None
        }
    }
}
