// SPDX-License-Identifier: MIT
/* Who sleeps until a condition holds is woken, also one that shares its CPU. */
#include <explore.h>
#include <kernel/kthread.h>

static struct task_struct *sleeper;
static u32 ready;
static u64 woken;

TASK(0, waiter)
{
	WRITE_ONCE(sleeper, current);
	for (;;) {
		set_current_blocked();
		if (READ_ONCE(ready))
			break;
		schedule();
	}
	set_current_running();
	woken = 1;
}

TASK(0, neighbour)
{
	yield();
}

TASK(1, waker)
{
	struct task_struct *task;

	WRITE_ONCE(ready, 1);
	smp_mb(); /* ready before sleeper is read; pairs with the waiter's set_current_blocked(). */
	task = READ_ONCE(sleeper);
	if (task)
		wake_up_process(task);
}

FINAL_CHECK
{
	claim(woken, woken);
}
