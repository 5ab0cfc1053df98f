// SPDX-License-Identifier: MIT
/* The callers of kprobe_storm: each call is judged on its own. */
#include "kprobe_storm.h"

#include <kernel/kthread.h>
#include <kernel/rcu_tasks.h>
#include <tasks/judge.h>

static const struct storm_function *choose(struct storm_task *task)
{
	struct storm *storm = task->storm;
	bool site = storm->nr_sites &&
		    random_below(&task->random, 1000) < storm->sites_per_mille;
	u32 among = site ? storm->nr_sites : storm->nr_functions;

	return &storm->functions[random_below(&task->random, among)];
}

/* Returns true if a probe was surely armed when it began. */
static bool call_elsewhere(struct storm_task *task, const struct storm_function *function,
			   const struct judged_call *call)
{
	u32 cpu = random_below(&task->random, num_cpus());
	int armed = judge_call_on(cpu, &function->judged, call);

	task->counts->irq_calls += armed >= 0;
	return armed > 0;
}

s64 storm_caller(void *argument)
{
	struct storm_task *task = argument;
	struct storm *storm = task->storm;

	while (!READ_ONCE(the_machine->stop)) {
		const struct storm_function *function = choose(task);
		const struct judged_call *call =
			&function->call[random_below(&task->random, STORM_ARGUMENTS)];
		bool armed;

		if (random_below(&task->random, 1000) < storm->irq_per_mille)
			armed = call_elsewhere(task, function, call);
		else
			armed = judge_call(&function->judged, call);
		task->counts->calls++;
		task->counts->armed_calls += armed;
		current->progress++;
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}
