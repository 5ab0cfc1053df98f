// SPDX-License-Identifier: MIT
/* What comes before the tasks can go wrong, too. */
#include <explore.h>
#include <kernel/mutex.h>

static int x;
static struct mutex lock;

INIT
{
#if defined(CLAIM)
	claim(x == 1, x);
#elif defined(CRASH)
	*(volatile int *)8 = 1;
#elif defined(DEADLOCK)
	mutex_lock(&lock);
	mutex_lock(&lock);
#elif defined(LOOP)
	for (;;)
		;
#elif defined(SPIN)
	while (!READ_ONCE(x))
		;
#elif defined(LOCAL)
	static __thread int local;

	WRITE_ONCE(local, 1);
#endif
}

TASK(0, one)
{
	WRITE_ONCE(x, 1);
}

FINAL_CHECK
{
	claim(x == 1, x);
}
