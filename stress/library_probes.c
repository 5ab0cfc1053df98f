// SPDX-License-Identifier: MIT
/* The arming tasks of real_library: every instruction boundary gets its turn. */
#include "real_library.h"

#include <error.h>
#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/slab.h>
#include <memory.h>

struct turn {
	struct kprobe *probe[LIBRARY_BATCH];
	u32 count;
};

static bool is_refusal(int error)
{
	return error == -EOPNOTSUPP || error == -EINVAL || error == -EILSEQ || error == -ENOENT;
}

static void arm_site(struct library_armer *armer, struct library_site *site, struct turn *turn)
{
	struct probe_record *record = &armer->record[turn->count];
	struct kprobe *p;
	int error;

	if (site->refused)
		return;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return;
	record->delay_cycles = armer->library->delay_cycles;
	probe_prepare(p, armer->random >> 60 ? "count" : "delay", record);
	p->addr = site->addr;
	error = probe_register(p);
	if (!error) {
		turn->probe[turn->count++] = p;
		armer->registers++;
		atomic_inc(&site->turns);
		return;
	}
	armer->refused++;
	if (is_refusal(error))
		site->refused = error;
	else if (error != -ENOSPC)
		report_finding(FINDING_BAD_STATE, NULL, site->addr, error, 0);
	kfree(p);
}

static void disarm(struct library_armer *armer, struct turn *turn)
{
	for (u32 n = 0; n < turn->count; n++)
		probe_record_unregistering(turn->probe[n]->data);
	unregister_kprobes(turn->probe, turn->count);
	for (u32 n = 0; n < turn->count; n++) {
		struct probe_record *record = turn->probe[n]->data;

		probe_record_unregistered(record);
		armer->hits += probe_record_hits(record);
		fill_bytes(record->cpu, 0, sizeof(record->cpu));
		kfree(turn->probe[n]);
	}
	armer->unregisters += turn->count;
}

static void hold(const struct library *library)
{
	u64 until = machine_now() + library->hold_us * 1000UL;

	while (machine_now() < until && !READ_ONCE(the_machine->stop))
		yield();
}

s64 library_armer(void *argument)
{
	struct library_armer *armer = argument;
	struct library *library = armer->library;

	while (!READ_ONCE(the_machine->stop)) {
		u64 first = atomic_fetch_add(library->batch, &library->turn);
		struct turn turn = { .count = 0 };

		armer->random = armer->random * 6364136223846793005UL + 1442695040888963407UL;
		for (u32 n = 0; n < library->batch; n++)
			arm_site(armer, &library->sites[(first + n) % library->nr_sites], &turn);
		hold(library);
		disarm(armer, &turn);
		current->progress++;
	}
	return 0;
}
