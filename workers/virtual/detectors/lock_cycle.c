// SPDX-License-Identifier: MIT
/* A cycle of links that could all be there at the same time. */
#include "detectors/lock_order.h"
#include "detectors/report.h"

#include <machine.h>

#define MAX_CYCLE 6

static const struct lock_link *chain[MAX_CYCLE];

static const struct lock_link *nth(u32 n)
{
	return &lock_links[n];
}

/* Who waits at the end of @link has to wait while @holder holds what it waits for. */
static bool blocks(const struct lock_link *link, const struct lock_link *holder)
{
	u64 bit = 1UL << link->lock;

	if (!(holder->held & bit))
		return false;
	if (!(link->flags & LOCK_SHARED && holder->shared & bit))
		return true;
	/* Two readers: only with a writer between them that comes first. */
	return !(link->flags & LOCK_RECURSIVE) && locks[link->lock].written;
}

bool lock_links_coexist(const struct lock_link *a, const struct lock_link *b)
{
	if (a->actor == b->actor || (a->cpu == b->cpu && a->atomic && b->atomic))
		return false;
	return !(a->held & b->held & ~(a->shared & b->shared));
}

static bool fits(const struct lock_link *link, u32 length)
{
	for (u32 n = 0; n < length; n++) {
		if (!lock_links_coexist(chain[n], link))
			return false;
	}
	return true;
}

static u64 place_of_held(const struct lock_link *link, u32 lock)
{
	for (u32 n = 0; n < link->nr_held; n++) {
		if (link->held_lock[n] == lock)
			return link->held_at[n];
	}
	return 0;
}

static void __attribute__((noreturn)) report_cycle(u32 length, u64 frame)
{
	const struct lock_link *here = chain[0], *next = chain[1], *last = chain[length - 1];
	struct side other = lock_side(&next->place);

	virtual_finding(FINDING_LOCK_ORDER, 0, frame, &other, (const u64[6]){
		locks[here->lock].addr, locks[last->lock].addr, place_of_held(here, last->lock),
		locks[next->lock].addr, place_of_held(next, here->lock), length,
	});
}

/* chain[0..length-1] is a way; go on to who holds what its end waits for. */
static void extend(u32 length, u64 frame)
{
	const struct lock_link *end = chain[length - 1];

	if (length > 1 && blocks(end, chain[0]))
		report_cycle(length, frame);
	for (u32 n = 0; length < MAX_CYCLE && n < nr_lock_links; n++) {
		if (!blocks(end, nth(n)) || !fits(nth(n), length))
			continue;
		chain[length] = nth(n);
		extend(length + 1, frame);
	}
}

void lock_cycle_check(u32 n, u64 frame)
{
	chain[0] = nth(n);
	extend(1, frame);
}
