/* SPDX-License-Identifier: MIT */
/* Judge each call of a probed function on its own. */
#ifndef TASKS_JUDGE_H
#define TASKS_JUDGE_H

#include <kernel/probe_handlers.h>
#include <shm_layout/judge.h>

/*
 * Call @function, with every claim checked: a probe that was surely armed before and after
 * was hit exactly once, one that was surely off not at all, and the result is right.
 * Returns true if a probe was surely armed when it began. Any context.
 */
bool judge_call(const struct judge_function *function, const struct judged_call *call);

/*
 * The same in an interrupt of @cpu, and that the cross call is done when it has returned.
 * Returns what judge_call() does, or -ENXIO. Context: as smp_call_function_single().
 */
int judge_call_on(int cpu, const struct judge_function *function, const struct judged_call *call);

/*
 * A change of a probe, or of all at once, begins: nothing is sure. It ends: @state is sure,
 * unless another change overlapped; SLOT_CHANGING = nothing is. Context: any task.
 */
void generation_change(u64 *generation);
void generation_settle(u64 *generation, enum slot_state state);

/* The generation of all probes together: SLOT_DISABLED after disarm_all_kprobes(). */
extern u64 judge_armed;

/* Who meets a probe now: a task, an interrupt of a CPU, one that came into that, or an NMI. */
u32 judge_context(void);

/* Fill in a zeroed kprobe so that its hits and misses can be judged. -ENOENT = no such handler. */
int judge_prepare(struct kprobe *p, struct judge_slot *slot);

/* After unregistration: what @p counted as missed against what it must and can have missed. */
void judge_misses(struct judge_slot *slot, const struct kprobe *p);

#endif
