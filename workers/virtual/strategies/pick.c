// SPDX-License-Identifier: MIT
/*
 * Choices of data in strategies that sample: of a generator of their own, so that
 * one more of them changes nothing about who goes when.
 *
 * In half of the runs the default is as likely as all others together; in the
 * other half it is rare or usual, since what takes the default once among many
 * times, or anything else once, would never come up.
 */
#include "strategies/strategy.h"

static struct rng rng;
static u64 run_of_rng;        /* number of the run that @rng is of + 1; 0 = none */
static u64 run_now;
static u32 usual;             /* of 8 times, the default so often */

void pick_begin(u64 run)
{
	run_now = run + 1;
	run_of_rng = 0;
}

static void begin_drawing(void)
{
	static const u8 shares[] = { 4, 4, 1, 7 };

	run_of_rng = run_now;
	rng = rng_of_run(the_explore->job.seed ^ 0x7069636b, run_now);
	usual = shares[rng_below(&rng, ARRAY_SIZE(shares))];
}

u32 pick_at_random(struct vcpu *cpu, u32 options)
{
	if (run_of_rng != run_now)
		begin_drawing();
	if (rng_below(&rng, 8) < usual)
		return 0;
	return 1 + rng_below(&rng, options - 1);
}
