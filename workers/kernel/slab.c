// SPDX-License-Identifier: MIT
/*
 * Objects in size classes, each object between two redzones; what is freed is
 * poisoned and waits in quarantine, so that a late access meets the poison and
 * not somebody else's data.
 *
 * Locks (one per class, one for the quarantine, one for pages) cover list
 * operations only: filling and checking is done on objects that nobody else
 * holds. An object is held by whoever moved its state to ALLOCATING or FREEING.
 */
#include <finding.h>
#include <kernel/fault.h>
#include <kernel/sched.h>
#include <kernel/slab_internal.h>
#include <kernel/spinlock.h>
#include <memory.h>
#include <trace.h>

#define MAX_STRIDE 8192
#define QUARANTINE_OBJECTS 4096
#define QUARANTINE_BYTES (8UL << 20)

struct kmem_cache {
	spinlock_t lock;
	u32 stride;           /* bytes; constant */
	struct slab_object *free; /* under lock */
} __cacheline_aligned;

static struct kmem_cache caches[] = {
	{ .stride = 128 }, { .stride = 192 }, { .stride = 256 }, { .stride = 384 },
	{ .stride = 512 }, { .stride = 768 }, { .stride = 1024 }, { .stride = 1536 },
	{ .stride = 2048 }, { .stride = 3072 }, { .stride = 4096 }, { .stride = 6144 },
	{ .stride = MAX_STRIDE },
};

/* Freed objects, first in, first out. */
static struct {
	spinlock_t lock;
	struct slab_object *first;
	struct slab_object *last;
	u64 objects;          /* how many */
	u64 bytes;            /* of all of them */
	u64 most_bytes;       /* constant after slab_init() */
} __cacheline_aligned quarantine;

struct slab_stats slab_stats __statistics;
static u8 class_of[MAX_STRIDE / 64 + 1]; /* by (size + REDZONES), in 64 bytes, rounded up */

static struct slab_object *cache_pop(struct kmem_cache *cache)
{
	u32 flags = spin_lock_irqsave(&cache->lock);
	struct slab_object *object = cache->free;

	if (object)
		cache->free = object->next;
	spin_unlock_irqrestore(&cache->lock, flags);
	return object;
}

/* Give back the chain @first ... @last. */
static void cache_push(struct kmem_cache *cache, struct slab_object *first,
		       struct slab_object *last)
{
	u32 flags = spin_lock_irqsave(&cache->lock);

	last->next = cache->free;
	cache->free = first;
	spin_unlock_irqrestore(&cache->lock, flags);
}

/* A run of pages with @nr objects; its pages point to it only when it is complete. */
static struct slab *slab_create(struct kmem_cache *cache, u64 nr_pages, u32 nr, u64 stride)
{
	u64 address = pages_alloc(nr_pages);
	struct slab *slab = (struct slab *)address;

	if (!address)
		return NULL;
	machine_memory_allocated(address, nr_pages * PAGE_SIZE);
	slab->cache = cache;
	slab->stride = stride;
	slab->first = (u64)&slab->object[nr];
	slab->nr_objects = nr;
	slab->nr_pages = nr_pages;
	for (u32 n = 0; n < nr; n++) {
		struct slab_object *object = &slab->object[n];

		object->state = SLAB_UNUSED;
		object->serial = 0;
		object->payload = slab->first + n * stride + REDZONE_LEFT;
		object->size = 0;
		object->freed.tsc = 0;
		object->next = n + 1 < nr ? object + 1 : NULL;
	}
	machine_memory_reserved(slab->first, nr * stride);
	for (u64 n = 0; n < nr_pages; n++)
		smp_store_release(&page_of(address + n * PAGE_SIZE)->slab, slab);
	__atomic_add_fetch(&slab_stats.pages, nr_pages, __ATOMIC_RELAXED);
	return slab;
}

/* More objects for @cache; one of them is returned. */
static struct slab_object *cache_grow(struct kmem_cache *cache)
{
	u64 nr_pages = cache->stride <= 1024 ? 8 : 16;
	u32 nr = (nr_pages * PAGE_SIZE - sizeof(struct slab)) /
		 (cache->stride + sizeof(struct slab_object));
	struct slab *slab = slab_create(cache, nr_pages, nr, cache->stride);

	if (!slab)
		return NULL;
	cache_push(cache, &slab->object[1], &slab->object[nr - 1]);
	return &slab->object[0];
}

static struct slab_object *large_create(size_t size)
{
	u64 used = sizeof(struct slab) + sizeof(struct slab_object) + REDZONES + size;
	u64 nr_pages = (used + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct slab *slab = slab_create(NULL, nr_pages, 1, nr_pages * PAGE_SIZE -
					sizeof(struct slab) - sizeof(struct slab_object));

	return slab ? &slab->object[0] : NULL;
}

static struct slab_object *find_object(size_t size)
{
	u64 units = (size + REDZONES + 63) / 64;
	struct kmem_cache *cache;
	struct slab_object *object;

	if (units > MAX_STRIDE / 64)
		return large_create(size);
	cache = &caches[class_of[units]];
	object = cache_pop(cache);
	return object ? object : cache_grow(cache);
}

/* The object left quarantine: its memory may be used again. */
static void release_object(struct slab_object *object)
{
	struct slab *slab = page_of((u64)object)->slab;

	slab_check_poison(slab, object);
	WRITE_ONCE(object->state, SLAB_FREE);
	if (slab->cache) {
		cache_push(slab->cache, object, object);
		return;
	}
	__atomic_sub_fetch(&slab_stats.pages, slab->nr_pages, __ATOMIC_RELAXED);
	pages_free((u64)slab, slab->nr_pages);
}

/* The oldest object, if there is one and there are more than @objects or @bytes; under the lock. */
static struct slab_object *oldest_of(u64 objects, u64 bytes)
{
	struct slab_object *object;

	if (quarantine.objects <= objects && quarantine.bytes <= bytes)
		return NULL;
	object = quarantine.first;
	quarantine.first = object->next;
	quarantine.objects--;
	quarantine.bytes -= object->size;
	return object;
}

static struct slab_object *quarantine_pop(void)
{
	u32 flags = spin_lock_irqsave(&quarantine.lock);
	struct slab_object *object = oldest_of(0, 0);

	spin_unlock_irqrestore(&quarantine.lock, flags);
	return object;
}

/* @object comes in, at most @most go @out in its place. Returns how many. */
static u32 quarantine_pass(struct slab_object *object, struct slab_object *out[], u32 most)
{
	u32 flags = spin_lock_irqsave(&quarantine.lock), count;

	object->next = NULL;
	if (quarantine.objects)
		quarantine.last->next = object;
	else
		quarantine.first = object;
	quarantine.last = object;
	quarantine.objects++;
	quarantine.bytes += object->size;
	for (count = 0; count < most; count++) {
		out[count] = oldest_of(QUARANTINE_OBJECTS, quarantine.most_bytes);
		if (!out[count])
			break;
	}
	spin_unlock_irqrestore(&quarantine.lock, flags);
	return count;
}

/* No memory: take the quarantine's, oldest first, as long as that does not help. */
static struct slab_object *find_object_in_quarantine(size_t size)
{
	struct slab_object *freed, *object = NULL;

	while (!object && (freed = quarantine_pop())) {
		release_object(freed);
		object = find_object(size);
	}
	return object;
}

/* The payload may be accessed from now on, and nothing around it. */
static void mark_allocated(const struct slab *slab, const struct slab_object *object)
{
	u8 *payload = (u8 *)object->payload, *end = payload + object->size;
	u64 right = slab->stride - REDZONE_LEFT - object->size;

	machine_memory_reserved(object->payload - REDZONE_LEFT, slab->stride);
	machine_memory_allocated(object->payload, object->size);
	if (MACHINE_POISONS) {
		fill_bytes(payload - REDZONE_LEFT, POISON_REDZONE, REDZONE_LEFT);
		fill_bytes(payload, POISON_ALLOC, object->size);
		fill_bytes(end, POISON_REDZONE, right);
	}
}

static void mark_freed(const struct slab_object *object)
{
	machine_memory_freed(object->payload, object->size);
	if (MACHINE_POISONS)
		fill_bytes((void *)object->payload, POISON_FREE, object->size);
}

/* Hand @object out: this CPU alone knows it. */
static void *prepare_object(struct slab_object *object, size_t size)
{
	struct slab *slab = page_of((u64)object)->slab;

	if (object->state == SLAB_FREE)
		slab_check_poison(slab, object);
	WRITE_ONCE(object->state, SLAB_ALLOCATING);
	smp_wmb(); /* The state before the bytes; pairs with audit_object(). */
	object->size = size;
	object->mark = slab_current_mark();
	object->serial = atomic_add_return(1, &slab_stats.allocations);
	record_side(&object->allocated);
	mark_allocated(slab, object);
	__atomic_add_fetch(&slab_stats.live_bytes, size, __ATOMIC_RELAXED);
	smp_store_release(&object->state, SLAB_LIVE);
	trace_event(EVENT_ALLOC, object->payload, size);
	return (void *)object->payload;
}

void *kmalloc(size_t size, u32 flags)
{
	struct slab_object *object = NULL;

	if (!(flags & GFP_ATOMIC))
		might_sleep();
	if (!(flags & GFP_NOFAIL) && should_fail(the_machine->config.fail_alloc)) {
		atomic_inc(&slab_stats.injected);
	} else if (size < the_machine->region[REGION_HEAP].size) {
		object = find_object(size);
		if (unlikely(!object))
			object = find_object_in_quarantine(size);
	}
	if (unlikely(!object)) {
		atomic_inc(&slab_stats.failed);
		return NULL;
	}
	return prepare_object(object, size);
}

void *kzalloc(size_t size, u32 flags)
{
	void *object = kmalloc(size, flags);

	return object ? fill_bytes(object, 0, size) : NULL;
}

void *kcalloc(size_t count, size_t size, u32 flags)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return kzalloc(bytes, flags);
}

void *krealloc(const void *old, size_t size, u32 flags)
{
	size_t kept = old ? ksize(old) : 0;
	void *object = kmalloc(size, flags);

	if (object && old) {
		copy_bytes(object, old, kept < size ? kept : size);
		kfree(old);
	}
	return object;
}

/* Take live @object for freeing; whoever comes second has freed it twice. */
static bool begin_free(const void *address, struct slab_object *object)
{
	u32 state = SLAB_UNUSED;

	if (object && object->payload == (u64)address)
		state = cmpxchg(&object->state, SLAB_LIVE, SLAB_FREEING);
	if (likely(state == SLAB_LIVE))
		return true;
	if (state == SLAB_UNUSED || state == SLAB_ALLOCATING)
		report_finding(FINDING_BAD_FREE, NULL, (u64)address);
	else
		report_finding(FINDING_DOUBLE_FREE, &object->freed, object->payload, object->size);
	return false;
}

void kfree(const void *address)
{
	struct slab_object *object, *out[2];
	struct slab *slab;
	u32 count;

	if (!address)
		return;
	object = slab_object_at((u64)address, &slab);
	if (!begin_free(address, object))
		return;
	slab_check_redzones(slab, object);
	record_side(&object->freed);
	mark_freed(object);
	atomic_inc(&slab_stats.frees);
	__atomic_sub_fetch(&slab_stats.live_bytes, object->size, __ATOMIC_RELAXED);
	trace_event(EVENT_FREE, object->payload, object->size);
	smp_store_release(&object->state, SLAB_QUARANTINED);
	/* Two out for one in, so that the quarantine shrinks after a large object. */
	count = quarantine_pass(object, out, ARRAY_SIZE(out));
	for (u32 n = 0; n < count; n++)
		release_object(out[n]);
}

void slab_init(void)
{
	u64 heap = the_machine->region[REGION_HEAP].size;
	u32 class = 0;

	page_alloc_init();
	quarantine.most_bytes = heap / 8 < QUARANTINE_BYTES ? heap / 8 : QUARANTINE_BYTES;
	for (u32 units = 0; units < ARRAY_SIZE(class_of); units++) {
		if (units * 64 > caches[class].stride)
			class++;
		class_of[units] = class;
	}
}
