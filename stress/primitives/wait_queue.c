// SPDX-License-Identifier: MIT
/*
 * Of two exclusive waiters and another one nobody sleeps on while there is what it waits for. A
 * wake-up may meet one that has its token already: so who has one wakes the next if there are more.
 */
#include <explore.h>
#include <kernel/kthread.h>
#include <kernel/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(queue);
static u32 tokens, taken, opened;

static bool take_token(void)
{
	u32 left = READ_ONCE(tokens);

	while (left) {
		u32 seen = cmpxchg(&tokens, left, left - 1);

		if (seen == left)
			return true;
		left = seen;
	}
	return false;
}

static void wait_for_token(void)
{
	wait_event_exclusive(queue, take_token());
	atomic_inc(&taken);
	if (READ_ONCE(tokens))
		wake_up(&queue);
}

TASK(0, left) { wait_for_token(); }
TASK(1, right) { wait_for_token(); }

TASK(0, third)
{
	wait_event(queue, READ_ONCE(opened));
}

TASK(2, wakes)
{
	WRITE_ONCE(opened, 1);
	for (u32 n = 0; n < 2; n++) {
		atomic_inc(&tokens);
		wake_up(&queue);
	}
}

FINAL_CHECK
{
	claim(taken == 2 && !tokens && !waitqueue_active(&queue), taken, tokens);
}
