// SPDX-License-Identifier: MIT
/*
 * A buddy allocator. A run of any number of pages is cut from the block of the
 * next power of two, and the rest goes straight back: nothing is rounded up.
 * Source: Knuth, The Art of Computer Programming 1, 2.5 (buddy system).
 */
#include <kernel/page_alloc.h>
#include <kernel/spinlock.h>
#include <list.h>

#define MAX_ORDER 10

static DEFINE_SPINLOCK(page_lock);
static struct list_head free_blocks[MAX_ORDER + 1]; /* struct page, under page_lock */
static struct page *pages;    /* constant after page_alloc_init(), as the next two */
static u64 heap_start;
static u64 nr_pages;

u64 page_count(void)
{
	return nr_pages;
}

struct page *page_at(u64 number)
{
	return &pages[number];
}

u64 page_address(u64 number)
{
	return heap_start + (number << PAGE_SHIFT);
}

struct page *page_of(u64 address)
{
	u64 number = (address - READ_STABLE(heap_start)) >> PAGE_SHIFT;

	return number < READ_STABLE(nr_pages) ? &READ_STABLE(pages)[number] : NULL;
}

static void add_block(u64 number, u32 order)
{
	struct page *page = &pages[number];

	page->order = order;
	page->is_free = 1;
	list_add(&page->free, &free_blocks[order]);
}

static void remove_block(struct page *page)
{
	page->is_free = 0;
	list_del(&page->free);
}

/* Free one block, and join it with its neighbour as often as that is free too. */
static void free_block(u64 number, u32 order)
{
	while (order < MAX_ORDER) {
		u64 buddy = number ^ (1UL << order);

		if (buddy + (1UL << order) > nr_pages)
			break;
		if (!pages[buddy].is_free || pages[buddy].order != order)
			break;
		remove_block(&pages[buddy]);
		number &= ~(1UL << order);
		order++;
	}
	add_block(number, order);
}

/* Free pages [number, number + count) as the aligned blocks that they consist of. */
static void free_range(u64 number, u64 count)
{
	while (count) {
		u32 order = __builtin_ctzl(number | 1UL << MAX_ORDER);
		u32 fits = 63 - __builtin_clzl(count);

		if (order > fits)
			order = fits;
		free_block(number, order);
		number += 1UL << order;
		count -= 1UL << order;
	}
}

u64 pages_alloc(u64 count)
{
	u32 order, wanted = count > 1 ? 64 - __builtin_clzl(count - 1) : 0;
	u64 address = 0;
	u32 flags;

	flags = spin_lock_irqsave(&page_lock);
	for (order = wanted; order <= MAX_ORDER; order++) {
		struct page *page;
		u64 number;

		if (list_empty(&free_blocks[order]))
			continue;
		page = list_first_entry(&free_blocks[order], struct page, free);
		remove_block(page);
		number = page - pages;
		free_range(number + count, (1UL << order) - count);
		address = page_address(number);
		break;
	}
	spin_unlock_irqrestore(&page_lock, flags);
	return address;
}

void pages_free(u64 address, u64 count)
{
	u64 number = (address - heap_start) >> PAGE_SHIFT;
	u32 flags;

	for (u64 n = 0; n < count; n++)
		WRITE_ONCE(pages[number + n].slab, NULL);
	flags = spin_lock_irqsave(&page_lock);
	free_range(number, count);
	spin_unlock_irqrestore(&page_lock, flags);
}

void page_alloc_init(void)
{
	const struct region *heap = &the_machine->region[REGION_HEAP];
	u64 used;

	for (u32 order = 0; order <= MAX_ORDER; order++)
		INIT_LIST_HEAD(&free_blocks[order]);
	heap_start = ARENA_BASE + heap->offset;
	nr_pages = heap->size >> PAGE_SHIFT;
	pages = (struct page *)heap_start;
	used = (nr_pages * sizeof(struct page) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	free_range(used, nr_pages - used);
}
