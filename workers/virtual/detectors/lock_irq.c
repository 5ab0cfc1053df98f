// SPDX-License-Identifier: MIT
/*
 * Interrupts and locks. A CPU that holds B with interrupts on can be interrupted;
 * the interrupt waits for A; somebody on another CPU holds A and waits for B. Or A
 * is B, and nobody else is needed. Likewise softirqs.
 *
 * And a CPU that waits for another one to take an interrupt holds a lock that the
 * other one waits for with interrupts off.
 */
#include "detectors/lock_order.h"
#include "detectors/report.h"

#include <machine.h>

#define MAX_WAY 4

/* What interrupts, and what it can come into. */
struct level {
	enum lock_use in, in_alone, on, on_alone;
};

static const struct level levels[] = {
	{ USED_IN_IRQ, USED_IN_IRQ_ALONE, USED_IRQS_ON, USED_IRQS_ON_ALONE },
	{ USED_IN_SOFTIRQ, USED_IN_SOFTIRQ_ALONE, USED_SOFTIRQS_ON, USED_SOFTIRQS_ON_ALONE },
};

/* The way from what the interrupt waits for to what it has interrupted. */
struct way {
	const struct level *level;
	u32 cpu;              /* that is interrupted */
	u32 first;            /* lock */
	bool alone;           /* the interrupt wants it alone */
	const struct lock_link *link[MAX_WAY];
	u32 length;
};

static const struct lock_use_place *place_of(u32 lock, enum lock_use use, u32 cpu)
{
	return &lock_uses[lock][use][cpu];
}

static bool is_used(u32 lock, enum lock_use use, u32 cpu)
{
	return locks[lock].cpus[use] >> cpu & 1;
}

/* The other side is the one that is not here and now. */
static struct side other_side(const struct lock_place *a, const struct lock_place *b)
{
	bool is_now = a->tsc == engine.steps + 1 && a->cpu == engine.cpu->id;

	return lock_side(is_now ? b : a);
}

static void report_way(const struct way *way, u32 last, enum lock_use on, u64 frame)
{
	enum lock_use in = way->alone ? way->level->in_alone : way->level->in;
	const struct lock_place *taken = &place_of(way->first, in, way->cpu)->place;
	const struct lock_place *held = &place_of(last, on, way->cpu)->place;
	struct side other = other_side(taken, held);

	virtual_finding(FINDING_LOCK_IRQ, 0, frame, &other, (const u64[6]){
		locks[way->first].addr, locks[last].addr, way->cpu, lock_caller(taken),
		lock_caller(held),
	});
}

/* @last is held by who has been interrupted: could all of @way be there at the same time? */
static bool fits(const struct way *way, u32 last, enum lock_use on)
{
	const struct lock_use_place *held = place_of(last, on, way->cpu);

	if (!is_used(last, on, way->cpu))
		return false;
	for (u32 n = 0; n < way->length; n++) {
		const struct lock_link *link = way->link[n];

		if (link->actor == held->place.task || held->held & link->held & ~link->shared)
			return false;
	}
	return true;
}

/* Is @last, which is waited for at the end of @way, held with interrupts on where it begins? */
static void look_at_end(const struct way *way, u32 last, bool alone, u64 frame)
{
	if (fits(way, last, way->level->on_alone))
		report_way(way, last, way->level->on_alone, frame);
	if (alone && fits(way, last, way->level->on))
		report_way(way, last, way->level->on, frame);
}

static bool may_follow(const struct way *way, const struct lock_link *link)
{
	if (link->cpu == way->cpu || link->lock == way->first)
		return false;
	for (u32 n = 0; n < way->length; n++) {
		if (!lock_links_coexist(way->link[n], link) || way->link[n]->lock == link->lock)
			return false;
	}
	return true;
}

/* Somebody on another CPU holds @lock, which is waited for, and waits for more. */
static void follow(struct way *way, u32 lock, bool alone, u64 frame)
{
	u64 bit = 1UL << lock;

	for (u32 n = 0; way->length < MAX_WAY && n < nr_lock_links; n++) {
		const struct lock_link *link = &lock_links[n];
		bool wants_alone = !(link->flags & LOCK_RECURSIVE);

		if (!(link->held & bit) || (!alone && link->shared & bit) || !may_follow(way, link))
			continue;
		way->link[way->length++] = link;
		look_at_end(way, link->lock, wants_alone, frame);
		follow(way, link->lock, wants_alone, frame);
		way->length--;
	}
}

static void check_interrupts(u32 lock, const struct level *level, bool alone, u64 frame)
{
	u32 left = locks[lock].cpus[alone ? level->in_alone : level->in];

	for (; left; left &= left - 1) {
		struct way way = {
			.level = level, .cpu = __builtin_ctz(left), .first = lock, .alone = alone,
		};

		look_at_end(&way, lock, way.alone, frame);
		follow(&way, lock, way.alone, frame);
	}
}

static void check_uses(u32 lock, enum lock_use under, enum lock_use off, u64 frame)
{
	u32 both = locks[lock].cpus[under] & locks[lock].cpus[off];

	for (; both; both &= both - 1) {
		u32 cpu = __builtin_ctz(both);
		const struct lock_use_place *called = place_of(lock, under, cpu);
		const struct lock_use_place *wanted = place_of(lock, off, cpu);
		struct side other;

		if (called->held & wanted->held)
			continue;
		other = other_side(&called->place, &wanted->place);
		virtual_finding(FINDING_LOCK_CALL, 0, frame, &other, (const u64[6]){
			locks[lock].addr, cpu, lock_caller(&called->place),
			lock_caller(&wanted->place),
		});
	}
}

static void check_calls(u32 lock, u64 frame)
{
	check_uses(lock, CALLED_UNDER_ALONE, WANTED_IRQS_OFF_ALONE, frame);
	check_uses(lock, CALLED_UNDER_ALONE, WANTED_IRQS_OFF, frame);
	/* Two readers: only with a writer between them. */
	if (locks[lock].written)
		check_uses(lock, CALLED_UNDER, WANTED_IRQS_OFF_ALONE, frame);
}

void lock_irq_check(u64 frame)
{
	for (u64 left = locks_in_irq; left; left &= left - 1) {
		for (u32 n = 0; n < ARRAY_SIZE(levels); n++) {
			check_interrupts(__builtin_ctzl(left), &levels[n], true, frame);
			check_interrupts(__builtin_ctzl(left), &levels[n], false, frame);
		}
	}
	for (u64 left = locks_called_under; left; left &= left - 1)
		check_calls(__builtin_ctzl(left), frame);
}
