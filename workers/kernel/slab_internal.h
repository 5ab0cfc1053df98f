/* SPDX-License-Identifier: MIT */
/* Between slab.c, which gives objects out, and slab_check.c, which looks at them. */
#ifndef KERNEL_SLAB_INTERNAL_H
#define KERNEL_SLAB_INTERNAL_H

#include <kernel/page_alloc.h>
#include <kernel/slab.h>

#define REDZONE_LEFT 64       /* bytes before the payload, which is aligned to this */
#define REDZONE_RIGHT 16      /* bytes behind it, at least */
#define REDZONES (REDZONE_LEFT + REDZONE_RIGHT)

struct kmem_cache;

/* The head of a run of pages. Constant once page->slab points to it. */
struct slab {
	struct kmem_cache *cache; /* NULL = one large object */
	u64 first;            /* address of the left redzone of object 0 */
	u64 stride;           /* bytes from one object to the next, redzones included */
	u32 nr_objects;
	u32 nr_pages;
	u64 pad[4];
	struct slab_object object[];
};

/* The object at @address, with its slab; NULL = none. */
struct slab_object *slab_object_at(u64 address, struct slab **slab);

/* Report the first byte of a redzone of @object that has changed. */
void slab_check_redzones(const struct slab *slab, const struct slab_object *object);

/* Report the first byte of freed @object that has changed. */
void slab_check_poison(const struct slab *slab, const struct slab_object *object);

/* How many times slab_leak_mark() was called. */
u64 slab_current_mark(void);

#endif
