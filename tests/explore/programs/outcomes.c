// SPDX-License-Identifier: MIT
/* Says what it came to. -D TWICE: in two words. -D FAILS: some runs fail. */
#include "program.h"

#include <outcome.h>

static atomic_int last, raced;

static void *first(void *number)
{
	set(last, 1);
	return NULL;
}

static void *second(void *number)
{
	set(raced, 1);
	return NULL;
}

static void *third(void *number)
{
	set(last, get(raced) + 2);
	return NULL;
}

int main(void)
{
	run_all(3, (body *const[]){ first, second, third });
#ifdef FAILS
	assert(get(last) != 1);
#endif
#ifdef TWICE
	explore_outcome(1000);
#endif
	explore_outcome(get(last));
	return 0;
}
