/* SPDX-License-Identifier: MIT */
/* The one way to say that something is wrong. */
#ifndef WORKERS_FINDING_H
#define WORKERS_FINDING_H

#include <machine.h>

/*
 * Write the return addresses from frame pointer @fp on into @stack[STACK_FRAMES], behind
 * the @used ones that are there; 0 ends them. Any stack of the machine, also another task's.
 */
void walk_stack(u64 *stack, u32 used, u64 fp);

/* Remember who is here now, as one side of a race that may show later. */
void record_side(struct side *side);

/* The same for the code that a trap interrupted. */
void record_side_at(struct side *side, const struct pt_regs *regs);

/* Another CPU as a side: where it stands is taken when the machine stops. */
static inline struct side side_of_cpu(u32 cpu)
{
	return (struct side){ .cpu = cpu, .tsc = machine_stamp() };
}

/*
 * Report and stop the machine. @other is the other side, or NULL.
 * @regs is where a trap was taken, or NULL. Values by kind, see shm_layout/finding.h.
 * Does not return.
 */
void report_finding_at(enum finding_kind kind, const struct side *other,
		       const struct pt_regs *regs, const u64 value[6]);

#define report_finding(kind, other, ...) \
	report_finding_at(kind, other, NULL, (const u64[6]){ __VA_ARGS__ })

/* A claim of the code about itself: @condition must hold. Values show in the report. */
#define claim(condition, ...) do { \
	if (unlikely(!(condition))) \
		report_finding(FINDING_CLAIM, NULL, __VA_ARGS__); \
} while (0)

#endif
