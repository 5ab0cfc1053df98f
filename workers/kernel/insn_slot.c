// SPDX-License-Identifier: MIT
/*
 * Pages of slots. A slot is clean, used or dirty; dirty ones are collected many
 * at a time, after one grace period: an ip inside a slot counts as an RCU reader.
 * An empty page goes back, but one is kept.
 */
#include <error.h>
#include <finding.h>
#include <kernel/insn_slot.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define SLOT_PAGE_SIZE 4096
#define SLOTS_PER_PAGE (SLOT_PAGE_SIZE / INSN_SLOT_SIZE)
#define MAX_SLOT_PAGES 4096

enum slot_state { SLOT_CLEAN, SLOT_USED, SLOT_DIRTY };

/* All under insn_slot_mutex. */
struct slot_page {
	struct list_head list;/* in slot_pages */
	u64 start;            /* text address */
	u32 nr_used;          /* used or dirty slots */
	u32 nr_dirty;
	u8 state[SLOTS_PER_PAGE]; /* enum slot_state */
};

static DEFINE_MUTEX(insn_slot_mutex);
static LIST_HEAD(slot_pages);
static u64 taken_pages[MAX_SLOT_PAGES / 64]; /* bit n = page n of the slot area has a slot_page */
static u32 nr_dirty;
static u32 nr_pages;

static u32 pages_in_area(void)
{
	u64 pages = the_machine->text.slots_size / SLOT_PAGE_SIZE;

	return pages < MAX_SLOT_PAGES ? pages : MAX_SLOT_PAGES;
}

static u64 area_start(void)
{
	return TEXT_BASE + the_machine->text.slots_offset;
}

static int take_page(u64 *start)
{
	for (u32 n = 0; n < pages_in_area(); n++) {
		if (!(taken_pages[n / 64] & (1UL << (n % 64)))) {
			taken_pages[n / 64] |= 1UL << (n % 64);
			*start = area_start() + (u64)n * SLOT_PAGE_SIZE;
			return 0;
		}
	}
	return -ENOSPC;
}

static void release_page(u64 start)
{
	u32 n = (start - area_start()) / SLOT_PAGE_SIZE;

	taken_pages[n / 64] &= ~(1UL << (n % 64));
}

static int add_page(void)
{
	struct slot_page *page = kzalloc(sizeof(*page), GFP_KERNEL);
	int error;

	if (!page)
		return -ENOMEM;
	error = take_page(&page->start);
	if (error) {
		kfree(page);
		return error;
	}
	list_add(&page->list, &slot_pages);
	nr_pages++;
	return 0;
}

/* The page is empty: nobody's ip is inside. */
static void remove_page_if_spare(struct slot_page *page)
{
	if (page->nr_used || nr_pages == 1)
		return;
	list_del(&page->list);
	nr_pages--;
	release_page(page->start);
	kfree(page);
}

static u64 take_slot(void)
{
	struct slot_page *page;

	list_for_each_entry(page, &slot_pages, list) {
		if (page->nr_used == SLOTS_PER_PAGE)
			continue;
		for (u32 n = 0; n < SLOTS_PER_PAGE; n++) {
			if (page->state[n] != SLOT_CLEAN)
				continue;
			page->state[n] = SLOT_USED;
			page->nr_used++;
			return page->start + n * INSN_SLOT_SIZE;
		}
	}
	return 0;
}

static void collect_dirty(void)
{
	struct slot_page *page, *next;

	/* Whoever was interrupted in one of them has left it after this. */
	synchronize_rcu();
	list_for_each_entry_safe(page, next, &slot_pages, list) {
		for (u32 n = 0; page->nr_dirty && n < SLOTS_PER_PAGE; n++) {
			if (page->state[n] != SLOT_DIRTY)
				continue;
			page->state[n] = SLOT_CLEAN;
			page->nr_dirty--;
			page->nr_used--;
		}
		remove_page_if_spare(page);
	}
	nr_dirty = 0;
}

int insn_slot_get(u64 *slot)
{
	int error = 0;

	mutex_lock(&insn_slot_mutex);
	*slot = take_slot();
	if (!*slot && nr_dirty) {
		collect_dirty();
		*slot = take_slot();
	}
	if (!*slot) {
		error = add_page();
		if (!error)
			*slot = take_slot();
	}
	mutex_unlock(&insn_slot_mutex);
	return error;
}

static struct slot_page *page_of_slot(u64 slot)
{
	struct slot_page *page;

	list_for_each_entry(page, &slot_pages, list) {
		if (slot - page->start < SLOT_PAGE_SIZE)
			return page;
	}
	return NULL;
}

void insn_slot_put(u64 slot, bool dirty)
{
	struct slot_page *page;
	u32 n, state;

	mutex_lock(&insn_slot_mutex);
	page = page_of_slot(slot);
	n = page ? (slot - page->start) / INSN_SLOT_SIZE : 0;
	state = page ? page->state[n] : SLOT_CLEAN;
	if (unlikely(state != SLOT_USED)) {
		report_finding(FINDING_BAD_STATE, NULL, slot, state, SLOT_USED);
	} else if (dirty) {
		page->state[n] = SLOT_DIRTY;
		page->nr_dirty++;
		if (++nr_dirty > SLOTS_PER_PAGE)
			collect_dirty();
	} else {
		page->state[n] = SLOT_CLEAN;
		page->nr_used--;
		remove_page_if_spare(page);
	}
	mutex_unlock(&insn_slot_mutex);
}

u64 insn_slots_used(void)
{
	struct slot_page *page;
	u64 used = 0;

	mutex_lock(&insn_slot_mutex);
	list_for_each_entry(page, &slot_pages, list)
		used += page->nr_used - page->nr_dirty;
	mutex_unlock(&insn_slot_mutex);
	return used;
}
