// SPDX-License-Identifier: MIT
/*
 * A tracer is hit by each call of its functions from when it is registered until it is not.
 * Nothing disables it, and no call of it is missed: handlers of others call nothing that is traced.
 */
#include <error.h>
#include <kernel/ftrace.h>
#include <kernel/slab.h>
#include <kernel/text.h>
#include <tasks/tracers.h>

struct judged_tracer {
	struct ftrace_ops ops;
	struct judge_slot *slot;
};

static void spin(u64 cycles)
{
	u64 start = machine_cycles();

	while (machine_cycles() - start < cycles)
		barrier();
}

static void judged_callback(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			    struct ftrace_regs *fregs)
{
	struct judged_tracer *tracer = container_of(op, struct judged_tracer, ops);

	/* Before the slot: freed memory does not point to it. */
	slab_check(tracer, sizeof(*tracer));
	this_cpu_add(&tracer->slot->hits[judge_context()], 1);
	if (tracer->slot->record.delay_cycles)
		spin(tracer->slot->record.delay_cycles);
	slab_check(tracer, sizeof(*tracer));
}

static void release_text(const struct judge_slot *slot, u32 held)
{
	while (held--)
		module_put(text_module_at(slot->traced[held]));
}

/* Its functions stay where they are until release_text(); false = one is not there. */
static bool hold_text(const struct judge_slot *slot)
{
	for (u32 n = 0; n < slot->nr_traced; n++) {
		if (try_module_get(text_module_at(slot->traced[n])))
			continue;
		release_text(slot, n);
		return false;
	}
	return true;
}

static int register_new(struct judge_slot *slot, struct judged_tracer *tracer)
{
	int error;

	if (!hold_text(slot))
		return -ENOENT;
	tracer->slot = slot;
	tracer->ops.func = judged_callback;
	tracer->ops.flags = slot->listed ? FTRACE_OPS_FL_NO_TRAMPOLINE : 0;
	error = ftrace_set_filter_ips(&tracer->ops, slot->traced, slot->nr_traced, true);
	if (!error)
		error = register_ftrace_function(&tracer->ops);
	if (error)
		ftrace_free_filter(&tracer->ops);
	release_text(slot, slot->nr_traced);
	return error;
}

int tracer_register(struct judge_slot *slot)
{
	struct judged_tracer *tracer = kzalloc(sizeof(*tracer), GFP_KERNEL);
	int error = -ENOMEM;

	generation_change(&slot->generation);
	if (tracer)
		error = register_new(slot, tracer);
	if (error) {
		generation_settle(&slot->generation, SLOT_OFF);
		kfree(tracer);
		smp_store_release(&slot->life, SLOT_FREE);
		return error;
	}
	probe_record_registered(&slot->record);
	slot->tracer = tracer;
	generation_settle(&slot->generation, SLOT_ON);
	smp_store_release(&slot->life, SLOT_REGISTERED);
	return 1;
}

void tracer_unregister(struct judge_slot *slot)
{
	struct judged_tracer *tracer = slot->tracer;

	generation_change(&slot->generation);
	probe_record_unregistering(&slot->record);
	unregister_ftrace_function(&tracer->ops);
	probe_record_unregistered(&slot->record);
	generation_settle(&slot->generation, SLOT_OFF);
	ftrace_free_filter(&tracer->ops);
	kfree(tracer);
	slot->tracer = NULL;
	smp_store_release(&slot->life, SLOT_FREE);
}
