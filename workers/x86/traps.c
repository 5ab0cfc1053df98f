// SPDX-License-Identifier: MIT
/* Whose trap is it? */
#include <finding.h>
#include <kernel/ftrace_trampoline.h>
#include <kernel/kprobes.h>
#include <kernel/text_poke.h>
#include <trace.h>
#include <x86/ftrace_insn.h>
#include <x86/traps.h>

enum trap_owner { TRAP_NOBODY, TRAP_POKE, TRAP_KPROBE };

/* The byte that stands at @addr now: it may no longer be what trapped. */
static u8 byte_at(u64 addr)
{
	return is_text(addr) ? READ_ONCE(*text_alias(addr)) : 0;
}

/* Whoever changed last what happens at @addr: wrote text, or took a probe away. */
static const struct side *suspect(u64 addr)
{
	const struct side *writer = text_last_writer(addr), *leaver = kprobe_last_leaver(addr);

	if (leaver && (!writer || leaver->tsc > writer->tsc))
		return leaver;
	return writer ? writer : text_suspect(addr);
}

static void report_unknown_trap(const struct pt_regs *regs, u64 addr)
{
	const u64 value[6] = { addr, byte_at(addr), kprobe_slot_origin(addr) };
	const struct side *freed_by;
	u64 start;

	freed_by = ftrace_trampoline_freed(addr, &start);
	if (freed_by)
		report_finding_at(FINDING_FREED_TEXT, freed_by, regs,
				  (u64[6]){ addr, start, FTRACE_TRAMPOLINE_SIZE });
	report_finding_at(FINDING_UNKNOWN_TRAP, suspect(addr), regs, value);
}

/* Text being changed goes first: there may be a probe at the same address. */
static enum trap_owner find_owner(struct pt_regs *regs)
{
	if (poke_int3_handler(regs))
		return TRAP_POKE;
	if (kprobe_int3_handler(regs))
		return TRAP_KPROBE;
	return TRAP_NOBODY;
}

void do_int3(struct pt_regs *regs)
{
	u64 addr = regs->ip - 1;
	enum trap_owner owner;

	this_cpu_add(&this_cpu()->nr_traps, 1);
	owner = find_owner(regs);
	trace_event(EVENT_INT3, addr, owner);
	if (unlikely(owner == TRAP_NOBODY))
		report_unknown_trap(regs, addr);
}

void do_debug(struct pt_regs *regs)
{
	u64 ip = regs->ip;

	this_cpu_add(&this_cpu()->nr_traps, 1);
	if (unlikely(!kprobe_debug_handler(regs)))
		report_unknown_trap(regs, ip);
}
