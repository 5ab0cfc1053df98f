/* SPDX-License-Identifier: MIT */
/* The tables of kprobe_storm: Python fills them before the tasks start. */
#ifndef STRESS_KPROBE_STORM_H
#define STRESS_KPROBE_STORM_H

#include <kernel/kprobes.h>
#include <kernel/probe_handlers.h>
#include <shm_layout/probe.h>

#define STORM_ARGUMENTS 8
#define STORM_FUNCTION_SLOTS 8
#define STORM_ALTERNATIVES 4
#define STORM_CONTEXTS (MAX_TASKS + MAX_CPUS) /* each task, and interrupts on each CPU */

/* What is surely true of a probe slot; the generation above changes with every change. */
enum slot_state { SLOT_OFF, SLOT_ON, SLOT_CHANGING, SLOT_DISABLED };

#define SLOT_STATE(generation) ((enum slot_state)((generation) & 3))

/*
 * Of a patch site: which alternative stands there, which one is written, and how often that
 * changed. Both the same: nothing is written.
 */
#define PATCH_GENERATION(count, from, to) ((u64)(count) << 16 | (from) << 8 | (to))
#define PATCH_COUNT(generation) ((generation) >> 16)
#define PATCH_FROM(generation) ((u32)((generation) >> 8 & 0xff))
#define PATCH_TO(generation) ((u32)((generation) & 0xff))

/* Misses met by nested calls; its CPU adds, unlocked. */
struct slot_cpu {
	u64 sure;             /* the probe was armed all the time: it must have counted */
	u64 maybe;            /* it may have */
} __cacheline_aligned;

/* One probe that comes and goes, always at the same place. */
struct storm_slot {
	u64 generation;       /* count << 2 | enum slot_state; its owner writes */
	u64 addr;             /* text address */
	u32 function;         /* index of the function */
	u32 owner;            /* index of the arming task */
	u32 exclusive;        /* 1 = nobody else probes this function */
	u32 pad;
	char handler[24];     /* name, see probe_handlers.h */
	struct kprobe *kprobe;/* NULL = not registered; owner */
	u64 judged;           /* sure misses of earlier registrations; owner */
	struct probe_record record;
	struct slot_cpu cpu[MAX_CPUS];
	u64 hits[STORM_CONTEXTS]; /* by the context that met it, which alone adds */
};

/* A function under test: u64 f(u64, u64). */
struct storm_function {
	u64 addr;
	u32 nr_slots;
	u32 nr_alternatives;  /* 1 + replacements; 1 = not a patch site */
	u32 slot[STORM_FUNCTION_SLOTS];
	u64 argument[STORM_ARGUMENTS][2];
	u64 expected[STORM_ALTERNATIVES][STORM_ARGUMENTS]; /* results, by what is patched in */
	/* Patch sites: */
	u64 generation;       /* PATCH_GENERATION(); its owner writes */
	u64 site;             /* text address of the 5 bytes */
	u8 bytes[STORM_ALTERNATIVES][8];
	u32 owner;            /* index of the arming task */
	u32 pad;
};

/* Counters of one task; it alone adds. */
struct storm_counts {
	u64 calls;            /* of functions under test */
	u64 armed_calls;      /* with at least one probe surely armed */
	u64 irq_calls;        /* made in interrupts, counted in calls as well */
	u64 nested_calls;     /* made in handlers */
	u64 registers;        /* that returned 0 */
	u64 unregisters;
	u64 enables;          /* that returned 0 */
	u64 disables;
	u64 batches;          /* of several probes at once */
	u64 patches;          /* instructions replaced */
	u64 audits;
	u64 refused;          /* calls that an injected fault made fail */
} __cacheline_aligned;

struct storm {
	u32 nr_functions;
	u32 nr_slots;
	u32 arming_tasks;
	u32 irq_per_mille;    /* calls made in an interrupt of another CPU */
	u32 weight_enable;    /* arming: relative frequencies */
	u32 weight_batch;
	u32 weight_replace;
	u32 weight_audit;
	u32 weight_register;
	u32 pause_us;         /* between two arming operations, at most */
	u32 nr_sites;         /* the first of the functions, those that are patch sites */
	u32 sites_per_mille;  /* calls made to these */
	struct storm_function *functions;
	struct storm_slot *slots;
	struct storm_counts *counts; /* by task argument: callers first, then arming tasks */
};

/* What one task is given. */
struct storm_task {
	struct storm *storm;
	struct storm_counts *counts;
	u64 random;           /* state of its generator, not 0 */
	u32 number;           /* of its kind */
	u32 pad;
};

static inline u64 storm_random(u64 *state)
{
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dUL;
}

/* A number below @limit. */
static inline u32 storm_below(u64 *state, u32 limit)
{
	return (storm_random(state) >> 32) * limit >> 32;
}

/* Who meets a probe now: a task, or the interrupts of a CPU. */
static inline u32 storm_context(void)
{
	return in_interrupt() ? MAX_TASKS + smp_processor_id() : current->index;
}

/* storm_probes.c: set up a slot's kprobe so that hits are counted per context. */
int storm_prepare(struct kprobe *p, struct storm_slot *slot);

#endif
