// SPDX-License-Identifier: MIT
/*
 * What a run must leave: tables of probes that agree with text, text as it was
 * loaded where no probe needs it to be different, and no memory that nothing
 * leads to. Only what the run has written is looked at: it stands in the undo log.
 */
#include "programs/kernel.h"

#include "detectors/report.h"

#include <finding.h>
#include <kernel/kprobe_internal.h>
#include <kernel/text_poke.h>

static bool is_in(u64 addr, u64 start, u64 size)
{
	return addr - start < size;
}

static void audit_byte(u64 addr, s64 probes)
{
	u8 pristine, found;

	if (!is_text(addr) || is_made_text(addr) || is_text_data(addr))
		return;
	pristine = *text_pristine(addr);
	found = *text_alias(addr);
	if (found == pristine || kprobes_excuse(addr) || !text_is_there(addr))
		return;
	report_finding(probes ? FINDING_TEXT_CORRUPT : FINDING_TEXT_NOT_PRISTINE,
		       text_last_writer(addr), addr, pristine, found);
}

/* Probes in all tables, each of them looked at, if the run has written there; else 0. */
static s64 audit_tables(u32 written)
{
	struct vcpu *self = engine.cpu;
	bool has_table = false;
	s64 probes = 0;

	for (u32 n = 0; n < written && !has_table; n++)
		has_table = is_in(undo_log[n].addr, (u64)kprobe_table, sizeof(kprobe_table));
	/* They are looked at by nobody: hooks keep quiet. */
	engine.cpu = NULL;
	for (u32 n = 0; has_table && n < KPROBE_TABLE_SIZE; n++) {
		if (kprobe_table[n].first)
			probes += kprobes_audit_bucket(&kprobe_table[n]);
	}
	engine.cpu = self;
	return probes;
}

/* All tasks have ended, all buffers are empty, and nobody else does anything. */
void kernel_audit(void)
{
	u64 text = (u64)text_alias(TEXT_BASE), size = the_machine->text.size;
	u32 written = engine.nr_undo;
	bool has_probes = false;
	s64 probes = 0;

	for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++)
		has_probes |= kprobe_table[n].first != NULL;
	if (has_probes)
		probes = audit_tables(written);
	for (u32 n = 0; n < written; n++) {
		u64 at = undo_log[n].addr - text;

		if (likely(at >= size))
			continue;
		for (u32 byte = 0; at < size && byte < undo_log[n].size; byte++)
			audit_byte(TEXT_BASE + at + byte, probes);
	}
	leaks_check();
}
