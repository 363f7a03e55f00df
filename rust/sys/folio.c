// SPDX-License-Identifier: GPL-2.0
/*
 * Folios and their references, as they look at one moment.
 *
 * Everything here may be called on a page that is being freed or split, so it
 * uses none of the accessors that assert a stable folio.
 */
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>

#include "bindings_helper.h"

/* A page that changes under us may show any order: never believe more. */
#define PPO_MAX_ORDER	(PUD_SHIFT - PAGE_SHIFT)

u64 ppo_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
}

u64 ppo_memmap_start(void)
{
	return (unsigned long)pfn_to_page(0);
}

/*
 * The folio of @page; NULL if nothing can be said of it. Nobody keeps memory from
 * going offline meanwhile, and then its struct pages may be filled with ones
 * (page_init_poison()), which page_folio() would make a pointer of.
 */
static struct folio *page_folio_racy(struct page *page)
{
	unsigned long head = READ_ONCE(page->compound_head);
	struct folio *folio;

	if (head == PAGE_POISON_PATTERN)
		return NULL;
	folio = (struct folio *)(head & 1 ? head - 1 : (unsigned long)page);
	return PagePoisoned(&folio->page) ? NULL : folio;
}

static unsigned int folio_order_racy(const struct folio *folio)
{
	unsigned int order;

	if (!(READ_ONCE(folio->flags) & BIT(PG_head)))
		return 0;
	order = READ_ONCE(folio->_flags_1) & 0xff;
	return order <= PPO_MAX_ORDER ? order : 0;
}

static int folio_mapcount_racy(const struct folio *folio, unsigned int order)
{
	int mapcount;

	if (order)
		return atomic_read(&folio->_large_mapcount) + 1;
	mapcount = atomic_read(&folio->_mapcount) + 1;
	return page_mapcount_is_type(mapcount) ? 0 : mapcount;
}

static bool folio_is_hugetlb_racy(const struct folio *folio)
{
	/* A type that changes under us is as good as none. */
	return data_race(folio->page.page_type >> 24) == PGTY_hugetlb;
}

/*
 * The references folio_migrate_mapping() will accept, without the isolation; and
 * the one that memory_failure() keeps, so that a poisoned page stays out of use.
 */
static int folio_expected_racy(const struct folio *folio, unsigned int order,
			       int mapcount)
{
	unsigned long flags = READ_ONCE(folio->flags);
	unsigned long mapping = (unsigned long)READ_ONCE(folio->mapping);
	int expected = mapcount;

	/* Slab, page tables and the like: whoever allocated it holds it. */
	if (page_has_type(&folio->page) && !folio_is_hugetlb_racy(folio))
		return 0;
	if (mapping & PAGE_MAPPING_ANON) {
		if ((flags & BIT(PG_swapbacked)) && (flags & BIT(PG_swapcache)))
			expected += 1 << order;
	} else {
		if (mapping & ~PAGE_MAPPING_FLAGS)
			expected += 1 << order;
		expected += !!(flags & BIT(PG_private));
	}
	/* hugetlb's own pages it keeps only where they stay in a file. */
	if ((flags & __PG_HWPOISON) && order == 0)
		expected++;
	else if ((flags & __PG_HWPOISON) && folio_is_hugetlb_racy(folio) &&
		 mapping && !(mapping & PAGE_MAPPING_FLAGS))
		expected++;
	return expected;
}

static int page_migratetype(unsigned long pfn)
{
#ifdef CONFIG_SPARSEMEM
	struct mem_section *ms = __pfn_to_section(pfn);
	unsigned long bit;

	if (!valid_section(ms))
		return -1;
	bit = ((pfn & (PAGES_PER_SECTION - 1)) >> pageblock_order) *
		NR_PAGEBLOCK_BITS;
	return (READ_ONCE(section_to_usemap(ms)[BIT_WORD(bit)]) >>
		(bit % BITS_PER_LONG)) & MIGRATETYPE_MASK;
#else
	return -1;
#endif
}

/* Context: any, NMI included. @page may be of any state. */
void ppo_folio_read(struct page *page, struct ppo_folio *f)
{
	struct folio *folio = (struct folio *)page;

	f->pfn = page_to_pfn(page);
	f->flags = READ_ONCE(folio->flags);
	f->mapping = READ_ONCE(folio->mapping);
	f->count = atomic_read(&folio->_refcount);
	f->order = folio_order_racy(folio);
	f->mapcount = folio_mapcount_racy(folio, f->order);
	f->expected = folio_expected_racy(folio, f->order, f->mapcount);
	f->mt = page_migratetype(f->pfn);
}

/* Slab, page tables and the like, or free */
bool ppo_page_is_kernels(const struct page *page)
{
	const struct folio *folio = (const struct folio *)page;

	return page_has_type(page) && !folio_is_hugetlb_racy(folio);
}

/* Memory of users, which could be moved if nobody held it */
static bool folio_is_movable_racy(const struct folio *folio,
				  const struct ppo_folio *f)
{
	if (folio_is_hugetlb_racy(folio))
		return true;
	if (page_has_type(&folio->page))
		return false;
	return f->mapping || f->mapcount > 0 || (f->flags & BIT(PG_lru));
}

struct page *ppo_folio_of_list(struct list_head *entry)
{
	return &list_entry(entry, struct folio, lru)->page;
}

static bool is_obstacle(const struct folio *folio, const struct ppo_folio *f,
			enum ppo_scan what)
{
	switch (what) {
	case PPO_SCAN_OFFLINE:
		if (f->flags & __PG_HWPOISON)
			return false;
		break;
	case PPO_SCAN_COMPACTION:
		if (!(f->flags & BIT(PG_lru)) || (f->flags & BIT(PG_swapcache)) ||
		    !((unsigned long)f->mapping & PAGE_MAPPING_ANON))
			return false;
		break;
	case PPO_SCAN_RANGE:
		break;
	}
	return f->count > f->expected && folio_is_movable_racy(folio, f);
}

/*
 * The next folio from *pfn on that somebody holds although it should be free;
 * false at @end. *pfn is moved behind it.
 */
bool ppo_scan(u64 *pfn, u64 end, enum ppo_scan what, struct ppo_folio *f)
{
	while (*pfn < end) {
		struct page *page = pfn_to_online_page(*pfn);
		struct folio *folio;
		u64 next;

		if (!page) {
			(*pfn)++;
			continue;
		}
		if (PageBuddy(page)) {
			unsigned long order = READ_ONCE(page_private(page));

			*pfn += order <= MAX_PAGE_ORDER ? 1UL << order : 1;
			continue;
		}
		folio = page_folio_racy(page);
		if (!folio) {
			(*pfn)++;
			continue;
		}
		ppo_folio_read(&folio->page, f);
		next = f->pfn + (1UL << f->order);
		*pfn = max(next, *pfn + 1);

		if (!is_obstacle(folio, f, what))
			continue;
		/* It may have been read while it changed: a second time? */
		ppo_folio_read(&folio->page, f);
		if (page_folio_racy(page) == folio && is_obstacle(folio, f, what))
			return true;
	}
	return false;
}

struct page *ppo_page_at(u64 pfn)
{
	return pfn_to_online_page(pfn);
}

/* The head of the folio that has @pfn now; NULL if there is no such page. */
struct page *ppo_folio_at(u64 pfn)
{
	struct page *page = pfn_to_online_page(pfn);
	struct folio *folio = page ? page_folio_racy(page) : NULL;

	return folio ? &folio->page : NULL;
}

/* The first pfn behind all memory there is. */
u64 ppo_end_pfn(void)
{
	unsigned long end = 0;
	int nid;

	for_each_online_node(nid)
		end = max(end, node_end_pfn(nid));
	return end;
}

/* The third argument of test_pages_isolated(): is the range to go offline? */
bool ppo_isolation_is_offlining(u64 mode)
{
	return mode & MEMORY_OFFLINE;
}

/* Is its pageblock set aside for whoever wants the range? */
bool ppo_is_isolated(u64 pfn)
{
#ifdef CONFIG_MEMORY_ISOLATION
	return page_migratetype(pfn) == MIGRATE_ISOLATE;
#else
	return false;
#endif
}

bool ppo_folio_is_on_lru(const struct page *page)
{
	return READ_ONCE(page->flags) & BIT(PG_lru);
}

/* Is it the head of a huge page that nobody uses? Who freezes one holds its lock. */
bool ppo_folio_is_in_pool(struct page *page)
{
	struct folio *folio = (struct folio *)page;

	return folio_is_hugetlb_racy(folio) && !folio_test_locked(folio) &&
	       !folio_ref_count(folio) && !folio_test_locked(folio);
}

/*
 * Does memory_failure() keep a reference to a page of this type? Of the kernel's
 * own it could not even get one.
 */
bool ppo_poison_keeps(int type)
{
	return type != MF_MSG_GET_HWPOISON && type != MF_MSG_KERNEL_HIGH_ORDER;
}
