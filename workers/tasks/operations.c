// SPDX-License-Identifier: MIT
/*
 * The tasks of a scenario: each goes through its table in rounds that begin
 * together. Whoever comes last to the beginning of a round tidies up after the
 * one before, alone, so that each round starts from the same state.
 */
#include <error.h>
#include <finding.h>
#include <irqflags.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/stop_machine.h>
#include <kernel/text.h>
#include <tasks/interrupts.h>
#include <tasks/operations.h>
#include <tasks/random.h>
#include <tasks/rendezvous.h>
#include <tasks/slots.h>
#include <trace.h>

static_assert(SCENARIO_BATCH <= SLOTS_BATCH, "an operation is one batch");

static struct judge_slot *slot_of(const struct scenario_task *task, u32 probe)
{
	return &task->scenario->probes[probe];
}

static struct judge_function *function_of(const struct scenario_task *task,
					  const struct operation *operation)
{
	return &task->scenario->functions[operation->function];
}

/* Nothing but an injected fault may make an operation fail. */
static void refused(struct scenario_counts *counts, u64 what, int error)
{
	const struct config *config = &the_machine->config;

	counts->refused++;
	if (!config->fail_arm && !config->fail_alloc)
		report_finding(FINDING_BAD_STATE, NULL, what, error, 0);
}

/* Hold the text that an operation is about, if it may go; false = it is not there. */
static bool hold_text(struct scenario_task *task, const struct operation *operation)
{
	bool held = !operation->module || try_module_get(operation->module);

	task->counts.absent += !held;
	return held;
}

static void release_text(const struct operation *operation)
{
	if (operation->module)
		module_put(operation->module);
}

static u32 slots_of(const struct scenario_task *task, const struct operation *operation,
		    struct judge_slot *slots[])
{
	for (u32 n = 0; n < operation->nr_probes; n++)
		slots[n] = slot_of(task, operation->probe[n]);
	return operation->nr_probes;
}

static void do_register(struct scenario_task *task, const struct operation *operation)
{
	struct judge_slot *slots[SCENARIO_BATCH];
	u32 count = slots_of(task, operation, slots);
	int done = slots_register(slots, count);

	if (done == -ENOENT && operation->module) {
		task->counts.absent++;
	} else if (done < 0) {
		refused(&task->counts, slots[0]->addr, done);
	} else {
		task->counts.registers += done;
		task->counts.misuses += count - done;
	}
}

static void do_unregister(struct scenario_task *task, const struct operation *operation)
{
	struct judge_slot *slots[SCENARIO_BATCH];
	u32 count = slots_of(task, operation, slots);
	u32 done = slots_unregister(slots, count);

	task->counts.unregisters += done;
	task->counts.misuses += count - done;
}

static void do_enable(struct scenario_task *task, const struct operation *operation)
{
	struct judge_slot *slot = slot_of(task, operation->probe[0]);
	int error = slot_enable(slot);

	if (error < 0)
		refused(&task->counts, slot->addr, error);
	task->counts.enables += !error;
	task->counts.misuses += error == SLOT_MISUSED;
}

static void do_disable(struct scenario_task *task, const struct operation *operation)
{
	int error = slot_disable(slot_of(task, operation->probe[0]));

	task->counts.disables += !error;
	task->counts.misuses += error == SLOT_MISUSED;
}

static void do_arm_all(struct scenario_task *task, const struct operation *operation)
{
	struct scenario *scenario = task->scenario;
	int error = slots_arm_all(scenario->probes, scenario->nr_probes);

	if (error)
		refused(&task->counts, 0, error);
}

static void do_disarm_all(struct scenario_task *task, const struct operation *operation)
{
	slots_disarm_all();
}

static void do_call(struct scenario_task *task, const struct operation *operation)
{
	const struct judge_function *function = function_of(task, operation);

	for (u32 n = 0; n < operation->times && hold_text(task, operation); n++) {
		trace_event(EVENT_TEXT_CALL, function->addr, operation->call.argument[0]);
		task->counts.armed_calls += judge_call(function, &operation->call);
		release_text(operation);
		task->counts.calls++;
		current->progress++;
	}
}

static void do_call_in_irq(struct scenario_task *task, const struct operation *operation)
{
	const struct judge_function *function = function_of(task, operation);

	for (u32 n = 0; n < operation->times && hold_text(task, operation); n++) {
		int armed = judge_call_on(operation->cpu, function, &operation->call);

		release_text(operation);
		if (armed < 0) {
			refused(&task->counts, function->addr, armed);
			continue;
		}
		task->counts.armed_calls += armed;
		task->counts.calls++;
		task->counts.irq_calls++;
		current->progress++;
	}
}

static void do_patch(struct scenario_task *task, const struct operation *operation)
{
	struct judge_function *function = function_of(task, operation);

	functions_patch(&function, &operation->alternative, 1);
	task->counts.patches++;
}

static void do_patch_in_place(struct scenario_task *task, const struct operation *operation)
{
	function_patch_in_place(function_of(task, operation), operation->alternative);
	task->counts.patches++;
}

static void do_bring_up(struct scenario_task *task, const struct operation *operation)
{
	function_patch_bringing_up(function_of(task, operation), operation->alternative);
	task->counts.patches++;
}

static void do_unload(struct scenario_task *task, const struct operation *operation)
{
	struct scenario *scenario = task->scenario;
	int error = slots_unload(scenario->probes, scenario->nr_probes, operation->module);

	task->counts.unloads += !error;
	task->counts.absent += !!error;
}

static void do_load(struct scenario_task *task, const struct operation *operation)
{
	int error = text_module_load(operation->module);

	task->counts.loads += !error;
	task->counts.absent += !!error;
}

static void do_synchronize_rcu(struct scenario_task *task, const struct operation *operation)
{
	synchronize_rcu();
	task->counts.grace_periods++;
}

/* While every other CPU stands. */
static int count_stop(void *argument)
{
	u32 *stops = argument;

	++*stops;
	return 0;
}

static void do_stop_machine(struct scenario_task *task, const struct operation *operation)
{
	u32 stops = 0;
	int error = stop_machine(count_stop, &stops, 0);

	claim(!error && stops == 1, error, 0, stops);
	task->counts.stops += stops;
}

static void do_preempt_disable(struct scenario_task *task, const struct operation *operation)
{
	preempt_disable();
}

static void do_preempt_enable(struct scenario_task *task, const struct operation *operation)
{
	preempt_enable();
}

static void do_irq_disable(struct scenario_task *task, const struct operation *operation)
{
	local_irq_disable();
}

static void do_irq_enable(struct scenario_task *task, const struct operation *operation)
{
	local_irq_enable();
}

static void do_barrier(struct scenario_task *task, const struct operation *operation)
{
	rendezvous_wait(&task->scenario->barrier, task, NULL);
}

static void do_yield(struct scenario_task *task, const struct operation *operation)
{
	yield();
}

static void do_audit(struct scenario_task *task, const struct operation *operation)
{
	kprobes_audit();
	task->counts.audits++;
}

static void (*const operations[OPERATIONS])(struct scenario_task *, const struct operation *) = {
	[OPERATION_REGISTER] = do_register,
	[OPERATION_UNREGISTER] = do_unregister,
	[OPERATION_ENABLE] = do_enable,
	[OPERATION_DISABLE] = do_disable,
	[OPERATION_REGISTER_BATCH] = do_register,
	[OPERATION_UNREGISTER_BATCH] = do_unregister,
	[OPERATION_ARM_ALL] = do_arm_all,
	[OPERATION_DISARM_ALL] = do_disarm_all,
	[OPERATION_CALL] = do_call,
	[OPERATION_CALL_IN_IRQ] = do_call_in_irq,
	[OPERATION_PATCH] = do_patch,
	[OPERATION_PATCH_IN_PLACE] = do_patch_in_place,
	[OPERATION_BRING_UP] = do_bring_up,
	[OPERATION_UNLOAD] = do_unload,
	[OPERATION_LOAD] = do_load,
	[OPERATION_SYNCHRONIZE_RCU] = do_synchronize_rcu,
	[OPERATION_STOP_MACHINE] = do_stop_machine,
	[OPERATION_PREEMPT_DISABLE] = do_preempt_disable,
	[OPERATION_PREEMPT_ENABLE] = do_preempt_enable,
	[OPERATION_IRQ_DISABLE] = do_irq_disable,
	[OPERATION_IRQ_ENABLE] = do_irq_enable,
	[OPERATION_BARRIER] = do_barrier,
	[OPERATION_YIELD] = do_yield,
	[OPERATION_AUDIT] = do_audit,
};

void operation_do(struct scenario_task *task, const struct operation *operation)
{
	operations[operation->code](task, operation);
	task->counts.operations++;
}

/* A random time, of any order of magnitude up to the longest. */
static void pause_a_while(struct scenario_task *task)
{
	u32 longest = task->scenario->delay_cycles, bits;
	u64 until;

	if (!longest)
		return;
	bits = random_below(&task->random, 33 - __builtin_clz(longest));
	until = machine_cycles() + random_below(&task->random, 1U << bits);
	while (machine_cycles() < until)
		barrier();
}

/* Probes and sites that the round has left as they need not stay. */
static void tidy_up(struct scenario *scenario, struct scenario_counts *counts)
{
	const u32 unpatched = 0;
	struct judge_slot *slots[SLOTS_BATCH];
	u32 count = 0;

	slots_arm_all(scenario->probes, scenario->nr_probes);
	for (u32 n = 0; n < scenario->nr_probes; n++) {
		if (scenario->probes[n].life == SLOT_REGISTERED)
			slots[count++] = &scenario->probes[n];
		if (count == SLOTS_BATCH || (count && n + 1 == scenario->nr_probes)) {
			counts->tidied += slots_unregister(slots, count);
			count = 0;
		}
	}
	for (u32 n = 0; n < scenario->nr_functions; n++) {
		struct judge_function *function = &scenario->functions[n];

		if (!function_alternative(function))
			continue;
		functions_patch(&function, &unpatched, 1);
		counts->tidied++;
	}
	for (u32 n = 0; n < the_machine->text.nr_modules; n++) {
		if (the_machine->text.module[n].state == MODULE_GONE)
			counts->tidied += !text_module_load(n);
	}
}

static void call_between(s64 (*function)(void))
{
	s64 result = function ? function() : 0;

	claim(!result, (u64)function, result);
}

/* The last task has come to the beginning of a round; the others wait. */
static void begin_round(struct scenario *scenario)
{
	if (scenario->rounds) {
		interrupts_quiesce(scenario);
		tidy_up(scenario, &scenario->tasks[0].counts);
		call_between(scenario->after);
	}
	if (READ_ONCE(the_machine->stop) ||
	    (scenario->most_rounds && scenario->rounds == scenario->most_rounds)) {
		interrupts_end(scenario);
		WRITE_ONCE(scenario->ended, 1);
		return;
	}
	scenario->rounds++;
	call_between(scenario->before);
	interrupts_allow(scenario);
}

static void run_round(struct scenario_task *task)
{
	for (u32 n = 0; n < task->nr_operations; n++) {
		const struct operation *operation = &task->operations[n];

		pause_a_while(task);
		operation_do(task, operation);
		current->progress++;
		cond_resched_tasks_rcu_qs();
	}
	if (task->function) {
		s64 result = task->function((void *)task->argument);

		claim(!result, (u64)task->function, task->argument, result);
		task->counts.operations++;
		current->progress++;
	}
}

s64 scenario_run(void *argument)
{
	struct scenario_task *task = argument;

	task->index = current->index;
	for (;;) {
		rendezvous_wait(&task->scenario->start, task, begin_round);
		if (READ_ONCE(task->scenario->ended))
			return 0;
		task->round++;
		run_round(task);
	}
}

s64 scenario_run_once(void *argument)
{
	struct scenario_task *task = argument;

	task->index = current->index;
	run_round(task);
	/* Its stack may stay where it is for ever: nobody waits for it to switch. */
	rcu_tasks_wait_begin();
	return 0;
}
