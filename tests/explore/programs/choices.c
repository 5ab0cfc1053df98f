// SPDX-License-Identifier: MIT
/*
 * Data that nothing decides, beside orders that nothing decides. Two threads each
 * choose one of three values, where nobody can notice, and then add to a counter of
 * both, so which of them comes first is another choice.
 *
 * -D BEFORE: main chooses, too, before there is a thread. -D TWICE: a thread chooses
 * two times in a row. -D RARE: some of it fails. -D LARGE: one of 1000 values.
 */
#include "program.h"

#include <choice.h>
#include <outcome.h>

static atomic_int counter;
static unsigned int value[2], order[2];

static void *choose(void *number)
{
	unsigned long n = (unsigned long)number;

	value[n] = explore_choice(3);
#ifdef TWICE
	value[n] += 3 * explore_choice(2);
#endif
	order[n] = atomic_fetch_add(&counter, 1);
	return NULL;
}

int main(void)
{
	unsigned int first = 0;

#ifdef BEFORE
	first = explore_choice(4);
#endif
#ifdef LARGE
	explore_outcome(explore_choice(1000));
	return 0;
#endif
	run_all(2, (body *const[]){ choose, choose });
#ifdef RARE
	assert(!(order[0] == 1 && value[0] == 2 && value[1] == 1));
#endif
	explore_outcome(((first * 10 + value[0]) * 10 + value[1]) * 10 + order[0]);
	return 0;
}
