// SPDX-License-Identifier: MIT
/* Who waits with a limit goes on in time, or because of what he waits for; and a sleep ends. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(queue);
static DECLARE_COMPLETION(never);
static DECLARE_COMPLETION(comes);
static u32 ready;

TASK(0, waits)
{
	u64 left, began = jiffies;

	left = wait_event_timeout(queue, READ_ONCE(ready), 10);
	claim(left <= 10 && (left || time_after_eq(jiffies, began + 10)), left, jiffies, began);
	claim(READ_ONCE(ready) || !left, left);
}

TASK(1, wakes)
{
	u64 left, began = jiffies;

	claim(!wait_for_completion_timeout(&never, 1), 1);
	claim(time_after_eq(jiffies, began + 1), jiffies, began);
	WRITE_ONCE(ready, 1);
	wake_up(&queue);
	complete(&comes);
	left = wait_for_completion_timeout(&comes, 5);
	claim(left, left);
	msleep(1);
}
