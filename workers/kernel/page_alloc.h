/* SPDX-License-Identifier: MIT */
/* Runs of pages out of the heap: what the slab is made of. */
#ifndef KERNEL_PAGE_ALLOC_H
#define KERNEL_PAGE_ALLOC_H

#include <machine.h>
#include <shm_layout/task.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)

struct slab;

/* One per page of the heap, at its start. */
struct page {
	struct list_head free;/* of its order, if it heads a free block; page lock */
	struct slab *slab;    /* that the page belongs to; NULL = free.  Its owner writes. */
	u32 order;            /* of the free block that it heads; under the page lock */
	u32 is_free;          /* 1 = heads a free block; under the page lock */
};

/* Called once, before any allocation. */
void page_alloc_init(void);

/* @count pages in a row, or 0. Any context. */
u64 pages_alloc(u64 count);
void pages_free(u64 address, u64 count);

/* The page of @address, or NULL: not in the heap. */
struct page *page_of(u64 address);

/* Pages are numbered from 0 to this, without. */
u64 page_count(void);
struct page *page_at(u64 number);
u64 page_address(u64 number);

#endif
