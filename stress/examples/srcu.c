// SPDX-License-Identifier: MIT
/*
 * SRCU with two pairs of counters: an element is not written again while a reader has it.
 *
 *	testbed explore stress/examples/srcu.c
 *	testbed explore stress/examples/srcu.c -D MISSING_A
 *	testbed explore stress/examples/srcu.c -D MISSING_B
 *	testbed explore stress/examples/srcu.c -D MISSING_C
 *	testbed explore stress/examples/srcu.c -D MISSING_D
 *	testbed explore stress/examples/srcu.c -D MISSING_E
 *
 * The algorithm and the letters of its barriers are those of kernel/rcu/srcutree.c
 * (v6.12), with one reader. A reader counts itself into the phase that it found
 * in `idx`, and out of the same one. A grace period waits for the phase that is
 * not current, for stragglers that found it long ago; makes it the current one;
 * and waits for the other phase.
 *
 * What becomes of it on x86 without each of them:
 *
 * A  violated. The updater's store of the new element waits in its buffer while
 *    it looks whether a reader has counted itself in. The reader has, just now,
 *    and still finds the old element. It takes a straggler from the phase that
 *    the first look is about, so it takes a second grace period.
 * B  violated. The same from the other side: the reader's count waits in the
 *    buffer while it already reads.
 * C  violated, as a data race only: x86 does not let a store pass older loads,
 *    so the reader does not count itself out too early. But nothing says so to
 *    the compiler, and other processors need it.
 * D  held. The new `idx` may come later than the look at the counters, but A
 *    stands in the middle of that look, and the counts of readers who came in
 *    meanwhile only make the updater wait longer.
 * E  held. The flip after the look at the counters: x86 does not let a store pass
 *    older loads. The kernel keeps E for processors that do.
 *
 * Elements are plain memory, so A and B show first as data races, too. With
 * --no-races only what a run really comes to counts: A and B make the claim of
 * the reader false, and C holds.
 */
#include <explore.h>

#define ELEMENTS 3
#define ALIVE 1
#define DEAD 2

/* The barriers; their pairs are named where they are. */
#ifdef MISSING_A
#define barrier_a() barrier()
#else
#define barrier_a() smp_mb()
#endif
#ifdef MISSING_B
#define barrier_b() barrier()
#else
#define barrier_b() smp_mb()
#endif
#ifdef MISSING_C
#define barrier_c() barrier()
#else
#define barrier_c() smp_mb()
#endif
#ifdef MISSING_D
#define barrier_d() barrier()
#else
#define barrier_d() smp_mb()
#endif
#ifdef MISSING_E
#define barrier_e() barrier()
#else
#define barrier_e() smp_mb()
#endif

static u32 idx;               /* its last bit is the current phase; the updater writes */
static u32 lock_count[2];     /* readers that came, by phase; the reader writes */
static u32 unlock_count[2];   /* readers that left; the reader writes */

static u32 newest;            /* number of the element that readers find; the updater writes */
static u32 element[ELEMENTS] = { ALIVE, ALIVE, ALIVE }; /* plain: SRCU protects them */

static u32 srcu_read_lock(void)
{
	u32 phase = READ_ONCE(idx) & 1;

	WRITE_ONCE(lock_count[phase], lock_count[phase] + 1);
	barrier_b(); /* the count before what the reader reads; pairs with A and D */
	return phase;
}

static void srcu_read_unlock(u32 phase)
{
	barrier_c(); /* what the reader has read before the count; pairs with A */
	WRITE_ONCE(unlock_count[phase], unlock_count[phase] + 1);
}

static void wait_for_readers(u32 phase)
{
	for (;;) {
		u32 left = READ_ONCE(unlock_count[phase]);

		barrier_a(); /* who is seen to have left is seen to have come; pairs with B and C */
		if (READ_ONCE(lock_count[phase]) == left)
			return;
		machine_relax_while(&unlock_count[phase], left);
	}
}

static void synchronize_srcu(void)
{
	u32 phase = idx & 1;

	/* A reader may have picked its phase just before the last flip. */
	wait_for_readers(phase ^ 1);

	barrier_e(); /* the look above before the flip; pairs with B and C */
	WRITE_ONCE(idx, idx + 1);
	barrier_d(); /* the flip before the look below; pairs with C */

	wait_for_readers(phase);
}

TASK(0, updater)
{
	for (u32 n = 1; n < ELEMENTS; n++) {
		WRITE_ONCE(newest, n);
		synchronize_srcu();
		element[n - 1] = DEAD;
	}
}

TASK(1, reader)
{
	u32 phase = srcu_read_lock(), found = element[READ_ONCE(newest)];

	claim(found == ALIVE, found, phase);
	srcu_read_unlock(phase);
}
