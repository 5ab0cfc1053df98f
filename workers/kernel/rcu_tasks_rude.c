// SPDX-License-Identifier: MIT
/*
 * RCU-tasks-rude: a switch to the stopper is forced on every CPU that is online.
 *
 * A switch is the one thing that no reader of this flavour contains. Where a CPU stands is not
 * asked: what RCU knows of it says nothing of code that runs where RCU does not watch. The set of
 * CPUs does not change meanwhile: one that goes down is waited for until it is down, and then
 * runs nothing.
 */
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/stop_machine.h>

/* In the stopper of each CPU: what ran there before does not run now. */
static int be_rude(void *unused)
{
	return 0;
}

static void wait_for_switches(void)
{
	cpus_read_lock();
	stop_cpus(online_mask(), be_rude, NULL);
	cpus_read_unlock();
}

static struct rcu_tasks rude =
	RCU_TASKS_INIT(rude, "rcu_tasks_rude", RUDE_READERS, wait_for_switches);

void synchronize_rcu_tasks_rude(void)
{
	synchronize_rcu_tasks_generic(&rude);
}
