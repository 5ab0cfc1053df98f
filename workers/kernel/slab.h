/* SPDX-License-Identifier: MIT */
/* kmalloc in shared memory: redzones, poison, quarantine, and who allocated and freed. */
#ifndef KERNEL_SLAB_H
#define KERNEL_SLAB_H

#include <machine.h>

#define GFP_KERNEL 0x0        /* where sleeping is allowed, though no allocation sleeps here */
#define GFP_ATOMIC 0x1        /* anywhere */
#define GFP_NOFAIL 0x2        /* not subject to config.fail_alloc */

#define POISON_FREE 0x6b
#define POISON_ALLOC 0x5a
#define POISON_REDZONE 0xbb

enum slab_state {
	SLAB_UNUSED,          /* never allocated */
	SLAB_ALLOCATING,      /* being filled by its CPU */
	SLAB_LIVE,
	SLAB_FREEING,         /* being poisoned by its CPU */
	SLAB_QUARANTINED,     /* freed, poisoned, not given out yet */
	SLAB_FREE,            /* freed, may be given out at any moment */
};

/* What is known of one object. Lies apart from the object, in the head of its page run. */
struct slab_object {
	u32 state;            /* enum slab_state; atomic */
	u32 pad;
	u64 serial;           /* of the allocation, counted over the machine; 0 = never */
	u64 payload;          /* address; never changes */
	u64 size;             /* bytes asked for */
	u64 mark;             /* slab_leak_mark() calls before the allocation */
	struct slab_object *next; /* free list of its class, or quarantine; under that lock */
	struct side allocated;
	struct side freed;    /* tsc 0 = never */
} __cacheline_aligned;

/* Counters; atomic. */
struct slab_stats {
	u64 allocations;
	u64 frees;
	u64 failed;           /* allocations that returned NULL, injected ones included */
	u64 injected;         /* of those, by config.fail_alloc */
	u64 live_bytes;
	u64 pages;            /* pages given to classes and to large objects */
};

extern struct slab_stats slab_stats;

/* Any context, also interrupt and trap handlers. NULL = no memory. 64-byte aligned. */
void *kmalloc(size_t size, u32 flags);
void *kzalloc(size_t size, u32 flags);
void *kcalloc(size_t count, size_t size, u32 flags);
void *krealloc(const void *object, size_t size, u32 flags);
void kfree(const void *object);

/* The bytes asked for when live @object was allocated; 0 = it is not the start of one. */
size_t ksize(const void *object);

/*
 * Claim that @size bytes at @address may be accessed now. Memory that does not belong to
 * the slab always may. Cheap enough for a handler. False = it has reported.
 */
bool slab_check(const void *address, size_t size);

/* The object (live or freed) whose payload or redzones contain @address, or NULL. */
const struct slab_object *slab_find(u64 address);

/* The freed object that a register points into, for reports of a crash; NULL = none. */
const struct slab_object *slab_suspect(const struct pt_regs *regs);

/* Check the redzones of all objects and the poison of freed ones. Returns the live objects. */
s64 slab_audit(void);

/* Objects alive now are meant to stay. Later: report the first one allocated since and alive. */
void slab_leak_mark(void);
s64 slab_leak_check(void);    /* returns how many there are */

/* Called once, by the first CPU, before any allocation. */
void slab_init(void);

#endif
