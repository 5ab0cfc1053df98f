// SPDX-License-Identifier: MIT
/* A grace period of RCU-tasks ends, though a task goes to sleep while it begins. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu_tasks.h>

static DECLARE_COMPLETION(ended);

TASK(0, updater)
{
	synchronize_rcu_tasks();
	complete(&ended);
	rcu_tasks_wait_begin();
}

TASK(1, sleeper)
{
	wait_for_completion(&ended);
	rcu_tasks_wait_begin();
}
