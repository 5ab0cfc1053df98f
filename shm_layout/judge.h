/* SPDX-License-Identifier: MIT */
/*
 * Probes that come and go and functions that are called, with all that is needed
 * to judge each call on its own. Used by scenarios and by stress harnesses.
 */
#ifndef SHM_LAYOUT_JUDGE_H
#define SHM_LAYOUT_JUDGE_H

#include "cpu.h"
#include "probe.h"

#define JUDGE_SLOTS 16        /* probes that a call of one function can meet */
#define JUDGE_TRACED 4        /* functions of one tracer */
#define JUDGE_ALTERNATIVES 4  /* forms of a patch site, the unpatched one included */

/* Of each CPU: NMIs, and interrupts by how deep they are nested: cross calls, and each line. */
#define CPU_CONTEXTS (1 + 1 + IRQ_LINES)
#define JUDGE_CONTEXTS (MAX_TASKS + MAX_CPUS * CPU_CONTEXTS) /* each task, and those of each CPU */

/* What is surely true of a probe slot. */
enum slot_state { SLOT_OFF, SLOT_ON, SLOT_CHANGING, SLOT_DISABLED };

/*
 * A generation is a state and a number that changes with every change, so that
 * two equal readings mean that nothing has changed in between.
 */
#define GENERATION_STATE 0x3UL      /* enum slot_state */
#define GENERATION_OVERLAP 0x4UL    /* changes overlapped: which one was last is not known */
#define GENERATION_OFF 0x8UL        /* one of them was an unregistration, which nothing undoes */
#define GENERATION_CHANGER 0x10UL   /* one for each change under way, 255 at most */
#define GENERATION_CHANGERS 0xff0UL
#define GENERATION_COUNT 0x1000UL

/* SLOT_FREE -> SLOT_REGISTERING -> SLOT_REGISTERED -> SLOT_UNREGISTERING -> SLOT_FREE */
enum slot_life { SLOT_FREE, SLOT_REGISTERING, SLOT_REGISTERED, SLOT_UNREGISTERING };

/* Misses met by nested calls; its CPU adds, unlocked. */
struct slot_cpu {
	u64 sure;             /* the probe was armed all the time: it must have counted */
	u64 maybe;            /* it may have */
} __cacheline_aligned;

/*
 * Of a patch site: which alternative stands there, which one is written, and how often that
 * changed. Both the same: nothing is written.
 */
#define PATCH_GENERATION(count, from, to) ((u64)(count) << 16 | (from) << 8 | (to))
#define PATCH_COUNT(generation) ((generation) >> 16)
#define PATCH_FROM(generation) ((u32)((generation) >> 8 & 0xff))
#define PATCH_TO(generation) ((u32)((generation) & 0xff))

struct judge_function;

struct judged_tracer;

/* One probe that comes and goes, always at the same place; or a tracer of functions. */
struct judge_slot {
	u64 generation;       /* GENERATION_*; atomic, whoever changes the probe */
	u64 addr;             /* text address; Python */
	u32 owner;            /* the harness's own; Python */
	u32 passes;           /* per call of its function: 1, or 0 = any number; Python */
	u32 disabled;         /* 1 = is registered disabled; Python */
	u32 life;             /* enum slot_life; atomic */
	s32 users;            /* of the kprobe: its registration and calls under way; atomic */
	u32 nr_traced;        /* a tracer: how many functions; 0 = a kprobe; Python */
	char handler[24];     /* name, see probe_handlers.h; Python */
	struct judge_function *nested; /* "reenter": what the handler calls; NULL = not judged */
	struct kprobe *kprobe;/* NULL = not registered; who claimed the slot's life */
	u64 traced[JUDGE_TRACED]; /* a tracer: its functions; Python */
	u64 listed;           /* 1 = ... called by ftrace_caller, not by a trampoline; Python */
	struct judged_tracer *tracer; /* NULL = not registered; who claimed the slot's life */
	u64 judged;           /* sure misses of earlier registrations; who unregisters */
	struct probe_record record;
	struct slot_cpu cpu[MAX_CPUS];
	u64 hits[JUDGE_CONTEXTS]; /* by the context that met it, which alone adds */
};

/* A function under test, u64 f(u64, u64). Python writes, except where said. */
struct judge_function {
	u64 addr;
	u32 nr_slots;
	u32 nr_alternatives;  /* 1 + replacements; 1 = not a patch site */
	struct judge_slot *slot[JUDGE_SLOTS]; /* met by a call, in it or in what it calls */
	u32 any_result;       /* 1 = a handler may change the result in a way not known */
	u32 owner;            /* the harness's own */
	u64 generation;       /* PATCH_GENERATION(); whoever patches, under text_mutex */
	u64 site;             /* text address of the 5 bytes; 0 = not a patch site */
	u8 bytes[JUDGE_ALTERNATIVES][8];
};

/* A call, and what it returns by what is patched in. Python writes. */
struct judged_call {
	u64 argument[2];
	u64 expected[JUDGE_ALTERNATIVES];
};

#endif
