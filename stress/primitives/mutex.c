// SPDX-License-Identifier: MIT
/* A mutex: one inside, and whoever waits is woken. */
#include <explore.h>
#include <kernel/mutex.h>

static DEFINE_MUTEX(mutex);
static u64 inside, entered;

static void enter(void)
{
	mutex_lock(&mutex);
	claim(++inside == 1, inside);
	entered++;
	inside--;
	mutex_unlock(&mutex);
}

TASK(0, left)
{
	enter();
}

TASK(1, right)
{
	enter();
}

FINAL_CHECK
{
	claim(entered == 2, entered);
}
