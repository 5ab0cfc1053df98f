// SPDX-License-Identifier: MIT
/*
 * Handlers for harnesses. They run at a breakpoint, with interrupts off, and
 * judge the registry from inside: is my kprobe still allocated, has
 * unregister_kprobe() returned already?
 */
#include <error.h>
#include <finding.h>
#include <kernel/probe_handlers.h>
#include <kernel/slab.h>
#include <kernel/text.h>
#include <memory.h>
#include <x86/emulate.h>

static void check_registered(const struct kprobe *p, const struct probe_record *record)
{
	if (unlikely(smp_load_acquire(&record->state) == RECORD_UNREGISTERED))
		report_finding(FINDING_HANDLER_AFTER_UNREGISTER, &record->unregistered, (u64)p,
			       p->addr, (u64)record);
}

/* At the exit of every handler. */
static void check_alive(const struct kprobe *p, const struct probe_record *record)
{
	slab_check(p, sizeof(*p));
	check_registered(p, record);
}

static struct record_cpu *here(struct probe_record *record)
{
	return &record->cpu[smp_processor_id()];
}

static struct probe_record *enter(const struct kprobe *p)
{
	struct probe_record *record;

	/* Before the record: freed memory does not point to it. */
	slab_check(p, sizeof(*p));
	record = p->data;
	check_registered(p, record);
	return record;
}

static struct probe_record *enter_pre(const struct kprobe *p)
{
	struct probe_record *record = enter(p);

	this_cpu_add(&here(record)->hits, 1);
	return record;
}

static int count_pre(struct kprobe *p, struct pt_regs *regs)
{
	check_alive(p, enter_pre(p));
	return 0;
}

static void count_post(struct kprobe *p, struct pt_regs *regs, u64 flags)
{
	struct probe_record *record = enter(p);

	this_cpu_add(&here(record)->post_hits, 1);
	check_alive(p, record);
}

static int delay_pre(struct kprobe *p, struct pt_regs *regs)
{
	struct probe_record *record = enter_pre(p);
	u64 start = machine_cycles();

	while (machine_cycles() - start < record->delay_cycles)
		barrier();
	check_alive(p, record);
	return 0;
}

static int reenter_pre(struct kprobe *p, struct pt_regs *regs)
{
	struct probe_record *record = enter_pre(p);
	u64 returned = text_call(record->function, record->argument[0], record->argument[1]);

	this_cpu_add(&here(record)->reentered, 1);
	if (unlikely(returned != record->expected))
		report_finding(FINDING_WRONG_RESULT, NULL, record->function, record->argument[0],
			       record->expected, returned);
	check_alive(p, record);
	return 0;
}

static int skip_pre(struct kprobe *p, struct pt_regs *regs)
{
	struct probe_record *record = enter_pre(p);

	override_function_with_return(regs, record->skip_value);
	check_alive(p, record);
	return 1;
}

static int unregister_elsewhere_pre(struct kprobe *p, struct pt_regs *regs)
{
	struct probe_record *record = enter_pre(p);

	smp_store_release(&record->unregister_wanted, 1);
	check_alive(p, record);
	return 0;
}

static const struct probe_handler probe_handlers[] = {
	{ "count", count_pre, NULL },
	{ "delay", delay_pre, NULL },
	{ "reenter", reenter_pre, NULL },
	{ "skip", skip_pre, NULL },
	{ "post_count", count_pre, count_post },
	{ "unregister_elsewhere", unregister_elsewhere_pre, NULL },
};

const struct probe_handler *probe_handler_named(const char *name)
{
	for (u32 n = 0; n < ARRAY_SIZE(probe_handlers); n++) {
		if (same_string(probe_handlers[n].name, name))
			return &probe_handlers[n];
	}
	return NULL;
}

int probe_prepare(struct kprobe *p, const char *name, struct probe_record *record)
{
	const struct probe_handler *handler = probe_handler_named(name);

	if (!handler)
		return -ENOENT;
	p->pre_handler = handler->pre_handler;
	p->post_handler = handler->post_handler;
	p->data = record;
	/* A new life: handlers may run before register_kprobe() has returned. */
	WRITE_ONCE(record->state, RECORD_IDLE);
	return 0;
}

void probe_record_registered(struct probe_record *record)
{
	record_side(&record->registered);
	smp_store_release(&record->state, RECORD_REGISTERED);
}

void probe_record_unregistering(struct probe_record *record)
{
	smp_store_release(&record->state, RECORD_UNREGISTERING);
}

void probe_record_unregistered(struct probe_record *record)
{
	record_side(&record->unregistered);
	smp_store_release(&record->state, RECORD_UNREGISTERED);
}

int probe_register(struct kprobe *p)
{
	struct probe_record *record = p->data;
	int error;

	WRITE_ONCE(record->state, RECORD_IDLE);
	error = register_kprobe(p);
	if (!error)
		probe_record_registered(record);
	return error;
}

void probe_unregister(struct kprobe *p)
{
	struct probe_record *record = p->data;

	probe_record_unregistering(record);
	unregister_kprobe(p);
	probe_record_unregistered(record);
}

u64 probe_record_hits(const struct probe_record *record)
{
	u64 hits = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		hits += READ_ONCE(record->cpu[cpu].hits);
	return hits;
}
