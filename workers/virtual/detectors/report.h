/* SPDX-License-Identifier: MIT */
/* A finding ends the run: written into the result, with its signature. */
#ifndef VIRTUAL_REPORT_H
#define VIRTUAL_REPORT_H

#include "engine.h"

/*
 * @pc is the innermost place of this side, 0 = the caller's; the frames above
 * are walked from @frame (a frame pointer; 0 = the caller's). @other may be NULL.
 */
void virtual_finding(enum finding_kind kind, u64 pc, u64 frame, const struct side *other,
		     const u64 value[6]) __attribute__((noreturn));

#define virtual_report(kind, pc, other, ...) \
	virtual_finding(kind, pc, 0, other, (const u64[6]){ __VA_ARGS__ })

/* This CPU, here and now, as a side. Frames are walked from @frame. */
void virtual_side(struct side *side, u64 pc, u64 frame);
/* Another CPU, which is somewhere in an operation, as a side. */
void virtual_side_of(struct side *side, const struct vcpu *cpu);

/*
 * Return addresses in explored code, innermost first, 0 ends: from the call at
 * @pc outwards, or all that @frame leads to if @pc is 0. Returns how many.
 */
u32 report_walk(u64 *stack, u32 room, u64 pc, u64 frame);

/* Is @pc in this machine's own code, and not in the code that it explores? */
bool is_machine_text(u64 pc);
void machine_text_first(void);
void machine_text_last(void);

/*
 * This CPU is about to wait at the word @addr, for what @what says and, if that
 * is known, until CPU @owner acts.
 */
void report_note(u32 what, u64 addr, u32 owner);

/* No CPU can go on and some have not ended: say who waits for whom. */
void report_deadlock(void) __attribute__((noreturn));

/* assert() of explored code does not hold. */
void report_assertion(const char *text, const char *file, u32 line, u64 pc)
	__attribute__((noreturn));

/* The hash by which two findings are the same: kind and the two places. */
u64 finding_signature(const struct finding *finding);

/* @store of @cpu is on its way to a frame of @owner's stack that is gone. */
void report_dead_stack(struct vcpu *cpu, const struct store *store, struct fiber *owner)
	__attribute__((noreturn));

#endif
