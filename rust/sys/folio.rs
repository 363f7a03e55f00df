// SPDX-License-Identifier: GPL-2.0

//! Reading pages and folios that may change under us.

use super::bindings;
use core::ptr::NonNull;
use kernel::bindings::{list_head, page};
use kernel::ffi::c_int;

pub(crate) use bindings::ppo_folio as State;

impl State {
    /// True if nobody has more references than the kernel accounts for.
    pub(crate) fn is_unpinned(&self) -> bool {
        self.count <= self.expected
    }

    /// Of the folio that has `pfn`, as far as one can tell without a reference. `None` if there is
    /// no such page. Context: any.
    pub(crate) fn of(pfn: u64) -> Option<Self> {
        // SAFETY: Any number may be asked for.
        let head = unsafe { bindings::ppo_folio_at(pfn) };
        NonNull::new(head).map(|head| Page(head).read())
    }

    /// True if somebody has a reference.
    pub(crate) fn is_used(&self) -> bool {
        self.count > 0
    }

    /// True if the folio was not freed since, or is another one that looks like it. Context: any.
    pub(crate) fn is_still_there(&self) -> bool {
        Self::of(self.pfn).is_some_and(|now| {
            // Some of the kernel's pages count no references.
            (now.pfn, now.order) == (self.pfn, self.order) && (now.is_used() || !self.is_used())
        })
    }
}

/// A `struct page` of the kernel's; what it stands for may change at any time.
#[derive(Clone, Copy)]
pub(crate) struct Page(NonNull<page>);

/// log2 of the bytes that the `struct page`s of 64 pages take, where they lie side by side.
const BLOCK_SHIFT: u32 = 12;
const IN_A_ROW: bool = cfg!(CONFIG_SPARSEMEM_VMEMMAP) && core::mem::size_of::<page>() == 64;

impl Page {
    /// # Safety
    ///
    /// `page` must come from the kernel as a `struct page *`.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(page: *mut page) -> Self {
        // SAFETY: Page pointers that the kernel hands to its hooks are not null.
        Page(unsafe { NonNull::new_unchecked(page) })
    }

    /// The page with this number, if there is one. Context: any.
    pub(crate) fn at(pfn: u64) -> Option<Self> {
        // SAFETY: Any number may be asked for.
        NonNull::new(unsafe { bindings::ppo_page_at(pfn) }).map(Page)
    }

    /// Number of the block of 64 pages that the page lies in, plus [`block_bias`]. Context: any.
    ///
    /// This is on the path of every put. Where the memory map is one array, 64 entries of it are
    /// a 4 KiB page, so that the address gives the number without a load.
    #[inline(always)]
    pub(crate) fn block_number(self) -> usize {
        if IN_A_ROW {
            self.0.as_ptr() as usize >> BLOCK_SHIFT
        } else {
            (self.pfn() / crate::store::page_ext::BLOCK_LEN) as usize
        }
    }

    /// Page frame number. Context: any.
    pub(crate) fn pfn(self) -> u64 {
        // SAFETY: Computes with the address and, in some memory models, the page's flags.
        unsafe { bindings::ppo_page_to_pfn(self.0.as_ptr()) }
    }

    /// True if it is the head of a folio on an LRU list. Context: any.
    pub(crate) fn is_on_lru(self) -> bool {
        // SAFETY: The page is the kernel's.
        unsafe { bindings::ppo_folio_is_on_lru(self.0.as_ptr()) }
    }

    /// True if it is the head of a huge page in hugetlb's pool. Context: any.
    pub(crate) fn is_in_pool(self) -> bool {
        // SAFETY: The page is the kernel's.
        unsafe { bindings::ppo_folio_is_in_pool(self.0.as_ptr()) }
    }

    /// True if it is memory that the kernel keeps to itself: slabs, page tables and the like, where
    /// references mean nothing. Context: any.
    pub(crate) fn is_kernels(self) -> bool {
        // SAFETY: The page is the kernel's.
        unsafe { bindings::ppo_page_is_kernels(self.0.as_ptr()) }
    }

    /// The folio that has this page as its head, as it looks now. Context: any.
    pub(crate) fn read(self) -> State {
        let mut state = State::default();
        // SAFETY: The page is the kernel's and `state` ours; nothing is assumed about its content.
        unsafe { bindings::ppo_folio_read(self.0.as_ptr(), &mut state) };
        state
    }
}

/// What [`Page::block_number`] says of page 0.
pub(crate) fn block_bias() -> usize {
    if IN_A_ROW {
        // SAFETY: Computes an address.
        unsafe { bindings::ppo_memmap_start() as usize >> BLOCK_SHIFT }
    } else {
        0
    }
}

/// The folios on a list, from first to last.
///
/// # Safety
///
/// `list` must be the head of a list of folios that does not change while the iterator is used.
pub(crate) unsafe fn on_list(list: *mut list_head) -> impl Iterator<Item = Page> {
    // SAFETY: The caller promises a list.
    let mut at = unsafe { (*list).next };
    core::iter::from_fn(move || {
        if at == list {
            return None;
        }
        // SAFETY: Not the head, so the list entry of a folio, and the list does not change.
        unsafe {
            let page = Page::from_raw(bindings::ppo_folio_of_list(at));
            at = (*at).next;
            Some(page)
        }
    })
}

/// Which of the folios that somebody holds an attempt could not take.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Scan {
    /// It wanted to use a range.
    Range = bindings::ppo_scan_PPO_SCAN_RANGE,
    /// To take it offline, to which poisoned pages are no obstacle.
    Offline = bindings::ppo_scan_PPO_SCAN_OFFLINE,
    /// To compact it, which does not even isolate anonymous folios that are held.
    Compaction = bindings::ppo_scan_PPO_SCAN_COMPACTION,
}

/// The folios with a page from `start` up to `end` that have more references than the kernel
/// accounts for, and were an obstacle to what was tried.
pub(crate) fn held_in(start: u64, end: u64, what: Scan) -> impl Iterator<Item = State> {
    let mut pfn = start;
    core::iter::from_fn(move || {
        let mut folio = State::default();
        // SAFETY: `pfn` and `folio` are ours; any range may be asked for.
        let found = unsafe { bindings::ppo_scan(&mut pfn, end, what as _, &mut folio) };
        found.then_some(folio)
    })
}

/// True if the mode that test_pages_isolated() was called with is that of taking memory offline.
pub(crate) fn is_offlining(mode: usize) -> bool {
    // SAFETY: Looks at the number alone.
    unsafe { bindings::ppo_isolation_is_offlining(mode as u64) }
}

/// True if the pageblock of `pfn` is set aside for whoever wants the range. Context: any.
pub(crate) fn is_isolated(pfn: u64) -> bool {
    // SAFETY: Any number may be asked for.
    unsafe { bindings::ppo_is_isolated(pfn) }
}

/// True if memory_failure() keeps a reference to a page of this type.
pub(crate) fn poison_keeps(page_type: c_int) -> bool {
    // SAFETY: Looks at the number alone.
    unsafe { bindings::ppo_poison_keeps(page_type) }
}

/// True if a call that returns to `address` prepares memory for a long-term pin. Context: any.
pub(crate) fn pins_longterm(address: usize) -> bool {
    // SAFETY: Any address may be asked for.
    unsafe { bindings::ppo_pins_longterm(address as u64) }
}

/// The first pfn behind all memory there is. Context: any.
pub(crate) fn end_pfn() -> u64 {
    // SAFETY: Looks at the online nodes.
    unsafe { bindings::ppo_end_pfn() }
}
