// SPDX-License-Identifier: MIT
/* Look at objects: which one is it, is it whole, may it be accessed, is it still needed. */
#include <finding.h>
#include <kernel/slab_internal.h>
#include <memory.h>

static u64 leak_mark;         /* slab_leak_mark() calls; atomic */

u64 slab_current_mark(void)
{
	return READ_ONCE(leak_mark);
}

struct slab_object *slab_object_at(u64 address, struct slab **slab_found)
{
	struct page *page = page_of(address);
	struct slab *slab = page ? smp_load_acquire(&page->slab) : NULL;
	u32 n, count;
	u64 first;

	if (!slab)
		return NULL;
	first = slab->first;
	count = slab->nr_objects;
	if (address < first)
		return NULL;
	*slab_found = slab;
	/* Slabs with several objects are small: a short division. */
	n = count == 1 ? 0 : (u32)(address - first) / (u32)slab->stride;
	return n < count ? &slab->object[n] : NULL;
}

/* The first byte in [start, start + size) that is not @value, or 0: all are, or need not be. */
static u64 first_other_byte(u64 start, u64 size, u8 value)
{
	u64 word = value * 0x0101010101010101UL, end = start + size;

	if (!MACHINE_POISONS)
		return 0;
	for (; (start & 7) && start < end; start++) {
		if (*(const u8 *)start != value)
			return start;
	}
	for (; start + sizeof(word) <= end; start += sizeof(word)) {
		if (*(const u64 *)start != word)
			break;
	}
	for (; start < end; start++) {
		if (*(const u8 *)start != value)
			return start;
	}
	return 0;
}

static u64 bad_redzone(const struct slab *slab, const struct slab_object *object)
{
	u64 end = object->payload + object->size;
	u64 bad = first_other_byte(object->payload - REDZONE_LEFT, REDZONE_LEFT, POISON_REDZONE);

	if (bad)
		return bad;
	return first_other_byte(end, slab->stride - REDZONE_LEFT - object->size, POISON_REDZONE);
}

static void report_overrun(const struct slab_object *object, u64 bad)
{
	report_finding(FINDING_OVERRUN, &object->allocated, object->payload, object->size, bad,
		       *(const u8 *)bad);
}

static void report_use_after_free(const struct slab_object *object, u64 bad)
{
	report_finding(FINDING_USE_AFTER_FREE, object->freed.tsc ? &object->freed : NULL,
		       object->payload, object->size, bad, *(const u8 *)bad);
}

void slab_check_redzones(const struct slab *slab, const struct slab_object *object)
{
	u64 bad = bad_redzone(slab, object);

	if (unlikely(bad))
		report_overrun(object, bad);
}

void slab_check_poison(const struct slab *slab, const struct slab_object *object)
{
	u64 bad = first_other_byte(object->payload, object->size, POISON_FREE);

	if (unlikely(bad))
		report_use_after_free(object, bad);
	slab_check_redzones(slab, object);
}

const struct slab_object *slab_find(u64 address)
{
	struct slab *slab;

	return slab_object_at(address, &slab);
}

size_t ksize(const void *address)
{
	const struct slab_object *object = slab_find((u64)address);

	if (!object || object->payload != (u64)address || object->state != SLAB_LIVE)
		return 0;
	return object->size;
}

bool slab_check(const void *address, size_t size)
{
	u64 start = (u64)address;
	const struct slab_object *object;
	struct slab *slab;
	struct page *page = page_of(start);

	if (!page)
		return true;
	object = slab_object_at(start, &slab);
	if (unlikely(!object)) {
		/* A page of a large object that was freed long ago, or the slab's own. */
		report_finding(FINDING_USE_AFTER_FREE, NULL, start, size, start, 0);
		return false;
	}
	if (unlikely(smp_load_acquire(&object->state) != SLAB_LIVE)) {
		report_use_after_free(object, start);
		return false;
	}
	if (unlikely(start < object->payload || size > object->size ||
		     start - object->payload > object->size - size)) {
		report_overrun(object, start < object->payload ? start :
			       object->payload + object->size);
		return false;
	}
	return true;
}

const struct slab_object *slab_suspect(const struct pt_regs *regs)
{
	const u64 *general = (const u64 *)regs; /* 15 of them, from r15 to di */

	for (u32 n = 0; n < 15; n++) {
		const struct slab_object *object = slab_find(general[n]);

		if (object && READ_ONCE(object->state) != SLAB_LIVE && object->freed.tsc)
			return object;
	}
	return NULL;
}

/* Call @look for every object. Large ones may go away meanwhile: @look tests before it reports. */
static void for_each_object(void (*look)(const struct slab *slab,
					 const struct slab_object *object, void *data),
			    void *data)
{
	for (u64 number = 0; number < page_count(); number++) {
		struct page *page = page_at(number);
		struct slab *slab = smp_load_acquire(&page->slab);

		if (!slab || (u64)slab != page_address(number))
			continue;
		for (u32 n = 0; n < slab->nr_objects && READ_ONCE(page->slab) == slab; n++)
			look(slab, &slab->object[n], data);
	}
}

/* True if @object is still the allocation that was looked at. */
static bool unchanged(const struct slab *slab, const struct slab_object *object, u32 state,
		      u64 serial)
{
	smp_rmb(); /* The bytes before the state; pairs with prepare_object(). */
	return READ_ONCE(object->state) == state && READ_ONCE(object->serial) == serial &&
	       READ_ONCE(page_of((u64)slab)->slab) == slab;
}

static void audit_object(const struct slab *slab, const struct slab_object *object, void *data)
{
	u64 serial = READ_ONCE(object->serial), bad = 0, changed = 0;
	u32 state = smp_load_acquire(&object->state);
	s64 *live = data;

	if (state != SLAB_LIVE && state != SLAB_QUARANTINED && state != SLAB_FREE)
		return;
	bad = bad_redzone(slab, object);
	if (state == SLAB_LIVE)
		(*live)++;
	else
		changed = first_other_byte(object->payload, object->size, POISON_FREE);
	if (likely(!bad && !changed) || !unchanged(slab, object, state, serial))
		return;
	if (bad)
		report_overrun(object, bad);
	else
		report_use_after_free(object, changed);
}

s64 slab_audit(void)
{
	s64 live = 0;

	for_each_object(audit_object, &live);
	return live;
}

void slab_leak_mark(void)
{
	atomic_inc(&leak_mark);
}

struct leaks {
	const struct slab_object *first;
	s64 objects;
	u64 bytes;
};

static void look_for_leak(const struct slab *slab, const struct slab_object *object, void *data)
{
	struct leaks *leaks = data;

	if (smp_load_acquire(&object->state) != SLAB_LIVE || object->mark < slab_current_mark())
		return;
	if (!leaks->first || object->serial < leaks->first->serial)
		leaks->first = object;
	leaks->objects++;
	leaks->bytes += object->size;
}

s64 slab_leak_check(void)
{
	struct leaks leaks = { 0 };

	for_each_object(look_for_leak, &leaks);
	if (leaks.first)
		report_finding(FINDING_LEAK, &leaks.first->allocated, leaks.first->payload,
			       leaks.first->size, leaks.objects, leaks.bytes);
	return leaks.objects;
}
