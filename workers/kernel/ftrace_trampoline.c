// SPDX-License-Identifier: MIT
/*
 * Room for trampolines. Freed ones are poisoned, and kept for a while before they are used
 * again, so that a task that comes back to one is found out.
 */
#include <error.h>
#include <finding.h>
#include <kernel/ftrace_internal.h>
#include <kernel/ftrace_trampoline.h>
#include <kernel/rethook.h>
#include <kernel/text_poke.h>
#include <memory.h>
#include <x86/ftrace_insn.h>
#include <x86/insn.h>

#define MAX_TRAMPOLINES 4096
#define MAX_FREED_SIDES 1024  /* remembered at most; a power of two */
#define FRAMES_LOOKED_AT 8

enum trampoline_state { TRAMPOLINE_UNUSED, TRAMPOLINE_LIVE, TRAMPOLINE_FREED };

struct ftrace_text ftrace_text;

/* All under ftrace_lock; states are read by reports. Numbers are kept plus one: 0 = none. */
static u8 state[MAX_TRAMPOLINES]; /* enum trampoline_state */
static u16 next_freed[MAX_TRAMPOLINES]; /* behind this one in the queue */
static u32 oldest_freed, newest_freed, nr_freed;
static u32 nr_touched;        /* from here on they were never used */
static struct side freed_by[MAX_FREED_SIDES];

static u64 area_start(void)
{
	return TEXT_BASE + the_machine->text.trampolines_offset;
}

static u32 number_of(u64 at)
{
	return (at - area_start()) / FTRACE_TRAMPOLINE_SIZE;
}

static u32 in_area(void)
{
	u64 count = the_machine->text.trampolines_size / FTRACE_TRAMPOLINE_SIZE;

	return count < MAX_TRAMPOLINES ? count : MAX_TRAMPOLINES;
}

/* 0 = no room. */
static u64 allocate(void)
{
	u32 n;

	if (nr_freed && (nr_freed > the_machine->config.reuse_delay || nr_touched == in_area())) {
		n = oldest_freed - 1;
		oldest_freed = next_freed[n];
		nr_freed--;
	} else if (nr_touched < in_area()) {
		n = nr_touched++;
	} else {
		return 0;
	}
	WRITE_ONCE(state[n], TRAMPOLINE_LIVE);
	machine_text_allocated(area_start() + n * FTRACE_TRAMPOLINE_SIZE, FTRACE_TRAMPOLINE_SIZE);
	return area_start() + n * FTRACE_TRAMPOLINE_SIZE;
}

static void poison(u64 at)
{
	u8 bytes[FTRACE_TRAMPOLINE_SIZE];

	fill_bytes(bytes, INT3_INSN_OPCODE, sizeof(bytes));
	mutex_lock(&text_mutex);
	text_poke(at, bytes, sizeof(bytes));
	mutex_unlock(&text_mutex);
}

static void release(u64 at)
{
	u32 n = number_of(at);

	if (state[n] != TRAMPOLINE_LIVE) {
		report_finding(FINDING_BAD_STATE, NULL, at, state[n], TRAMPOLINE_LIVE);
		return;
	}
	record_side(&freed_by[n % MAX_FREED_SIDES]);
	WRITE_ONCE(state[n], TRAMPOLINE_FREED);
	if (MACHINE_POISONS)
		poison(at);
	machine_text_freed(at, FTRACE_TRAMPOLINE_SIZE);
	next_freed[n] = 0;
	if (nr_freed++)
		next_freed[newest_freed - 1] = n + 1;
	else
		oldest_freed = n + 1;
	newest_freed = n + 1;
}

int ftrace_trampoline_init(void)
{
	u64 at;

	if (ftrace_text.caller)
		return 0;
	if (!ftrace_insn_init())
		return -ENOENT;
	at = allocate();
	if (!at)
		return -ENOSPC;
	ftrace_text.stub = text_function_named("ftrace_stub")->addr;
	ftrace_text.list = at;
	ftrace_text.assist = at + 8;
	ftrace_text.sleep = at + 16;
	ftrace_text.rethook = at + 64;
	mutex_lock(&text_mutex);
	ftrace_insn_entry(ftrace_text.list, at + 32, ftrace_ops_list_func);
	ftrace_insn_entry(ftrace_text.assist, at + 40, ftrace_ops_assist_func);
	ftrace_insn_entry(ftrace_text.sleep, at + 48, ftrace_ops_sleep_func);
	ftrace_insn_entry(at + 24, at + 56, rethook_trampoline_handler);
	ftrace_insn_rethook(ftrace_text.rethook, at + 24);
	mutex_unlock(&text_mutex);
	ftrace_text.caller = text_function_named("ftrace_caller")->addr;
	return 0;
}

/* A tracer that asks for protection is called by who protects it. */
static u64 called_by_trampoline(const struct ftrace_ops *ops)
{
	if (ops->flags & FTRACE_OPS_FL_SLEEPS)
		return ftrace_text.sleep;
	if (ops->flags & (FTRACE_OPS_FL_RECURSION | FTRACE_OPS_FL_RCU))
		return ftrace_text.assist;
	return ops->entry;
}

void ftrace_trampoline_create(struct ftrace_ops *ops)
{
	u64 at;

	if (ops->entry)
		return;
	at = allocate();
	if (!at)
		return;
	mutex_lock(&text_mutex);
	ops->entry = at + FTRACE_TRAMPOLINE_ENTRY;
	ftrace_insn_entry(ops->entry, at + FTRACE_TRAMPOLINE_FUNC, ops->func);
	if (!(ops->flags & FTRACE_OPS_FL_NO_TRAMPOLINE)) {
		ftrace_insn_trampoline(at, ops, called_by_trampoline(ops));
		ops->trampoline = at;
	}
	mutex_unlock(&text_mutex);
	ftrace_stats.trampolines++;
}

void ftrace_trampoline_free(struct ftrace_ops *ops)
{
	if (!ops->entry)
		return;
	release(ops->entry - FTRACE_TRAMPOLINE_ENTRY);
	ops->entry = ops->trampoline = 0;
	ftrace_stats.trampolines_freed++;
}

const struct side *ftrace_trampoline_freed(u64 addr, u64 *start)
{
	u32 n = number_of(addr);

	if (!is_trampoline_area(addr) || n >= MAX_TRAMPOLINES ||
	    READ_ONCE(state[n]) != TRAMPOLINE_FREED)
		return NULL;
	*start = area_start() + n * FTRACE_TRAMPOLINE_SIZE;
	return &freed_by[n % MAX_FREED_SIDES];
}

/* Does a function that this one was called from return to a trampoline? */
static bool returns_to_trampoline(const u64 *frame)
{
	const struct task_struct *task = current;

	for (u32 n = 0; n < FRAMES_LOOKED_AT; n++) {
		if ((u64)frame - task->stack > TASK_STACK_SIZE - 2 * sizeof(u64))
			return false;
		if (is_trampoline_area(frame[1]))
			return true;
		if (frame[0] <= (u64)frame)
			return false;
		frame = (const u64 *)frame[0];
	}
	return false;
}

void ftrace_note_preempted(const struct pt_regs *regs)
{
	if (!nr_touched)
		return;
	if (is_trampoline_area(regs->ip))
		atomic_inc(&ftrace_stats.preempted_on_trampoline);
	else if (returns_to_trampoline((const u64 *)regs->bp))
		atomic_inc(&ftrace_stats.preempted_below_trampoline);
}
