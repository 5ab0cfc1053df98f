/* SPDX-License-Identifier: MIT */
/*
 * A scenario: probes, functions, and for each task a table of operations.
 *
 * Python makes it of a testbed.scenario.Scenario; workers/tasks/operations.c
 * runs it, on either machine: once, or in rounds that begin together.
 */
#ifndef SHM_LAYOUT_SCENARIO_H
#define SHM_LAYOUT_SCENARIO_H

#include "judge.h"

#define SCENARIO_TASKS 32
#define SCENARIO_INTERRUPTS 32
#define SCENARIO_PROBES 64
#define SCENARIO_BATCH 8      /* probes of one operation */

enum operation_code {
	OPERATION_NONE,
	OPERATION_REGISTER,         /* probe[0] */
	OPERATION_UNREGISTER,       /* probe[0] */
	OPERATION_ENABLE,           /* probe[0] */
	OPERATION_DISABLE,          /* probe[0] */
	OPERATION_REGISTER_BATCH,   /* probe[0..nr_probes) */
	OPERATION_UNREGISTER_BATCH, /* probe[0..nr_probes) */
	OPERATION_ARM_ALL,
	OPERATION_DISARM_ALL,
	OPERATION_CALL,             /* function, call, times */
	OPERATION_CALL_IN_IRQ,      /* the same in an interrupt of cpu */
	OPERATION_PATCH,            /* function's site becomes alternative */
	OPERATION_PATCH_IN_PLACE,   /* the same; no other CPU runs the function */
	OPERATION_BRING_UP,         /* the same, while a CPU comes up */
	OPERATION_UNLOAD,           /* module */
	OPERATION_LOAD,             /* module */
	OPERATION_SYNCHRONIZE_RCU,
	OPERATION_STOP_MACHINE,
	OPERATION_PREEMPT_DISABLE,
	OPERATION_PREEMPT_ENABLE,
	OPERATION_IRQ_DISABLE,
	OPERATION_IRQ_ENABLE,
	OPERATION_BARRIER,          /* wait for all tasks that have one */
	OPERATION_YIELD,
	OPERATION_AUDIT,            /* the probe tables agree with text */
	OPERATIONS
};

/* One step of a task. Python writes. */
struct operation {
	u32 code;             /* enum operation_code */
	u32 times;            /* calls: how often; others: 1 */
	u32 function;         /* index into scenario.functions */
	u32 alternative;      /* patch: index into function.bytes; 0 = unpatched */
	u32 cpu;              /* call_in_irq: whose interrupt */
	u32 nr_probes;        /* how many of probe[] are used */
	u8 probe[SCENARIO_BATCH]; /* indexes into scenario.probes */
	u32 module;           /* unload, load: which; others: what may go, 0 = nothing */
	u32 pad;
	struct judged_call call;
};

static_assert(sizeof(struct operation) == 88, "fixed width");

/* Where tasks wait for each other. */
struct rendezvous {
	u32 tasks;            /* how many take part; Python */
	u32 arrived;          /* atomic; the last one makes it 0 */
	u32 turn;             /* the last one to arrive adds 1 */
	u32 pad;
} __cacheline_aligned;

/* What one task has done; it alone adds. */
struct scenario_counts {
	u64 operations;
	u64 calls;            /* of functions, in interrupts too */
	u64 armed_calls;      /* of them with a probe surely armed from before to after */
	u64 irq_calls;
	u64 registers;        /* probes, not calls */
	u64 unregisters;
	u64 enables;
	u64 disables;
	u64 patches;
	u64 grace_periods;
	u64 stops;            /* of all CPUs */
	u64 audits;
	u64 refused;          /* failed because a fault was injected */
	u64 misuses;          /* not made: another task had left the probe in another state */
	u64 tidied;           /* probes, sites and modules left over by a round */
	u64 loads;            /* of modules */
	u64 unloads;
	u64 absent;           /* not made: the module was not there, or somebody held it */
} __cacheline_aligned;

struct scenario;

/* One task. Python writes, except where said. */
struct scenario_task {
	struct scenario *scenario;
	struct operation *operations;
	u32 nr_operations;
	u32 cpu;
	u32 shares_cpu;       /* 1 = another task of the scenario has the same CPU */
	u32 index;            /* of its task_struct; the task writes at its start */
	s64 (*function)(void *); /* a task in C instead of a table; not 0 = its claim is false */
	u64 argument;         /* for function */
	u64 random;           /* state of its generator, not 0; the task writes */
	u64 round;            /* rounds begun; the task writes */
	struct scenario_counts counts;
};

/*
 * What a device does on a CPU, or an NMI: its operations are those of an interrupt.
 * Python writes, except where said.
 */
struct scenario_interrupt {
	struct scenario_task task; /* what it does; cpu and counts, too */
	u32 line;             /* of its CPU */
	u32 nmi;              /* 1 = it cannot be held off */
	u32 times;            /* in one round, at most */
	u32 left;             /* in this round; the last to arrive at start, then its CPU */
	u32 running;          /* 1 = now; its CPU */
	u32 pad;
	u64 taken;            /* that were not too many; its CPU adds */
};

struct scenario {
	u32 nr_tasks;
	u32 nr_probes;
	u32 nr_functions;
	u32 delay_cycles;     /* random pauses before operations are shorter; 0 = none */
	u64 most_rounds;      /* 0 = until the machine is asked to stop */
	struct scenario_task *tasks;
	struct judge_slot *probes;
	struct judge_function *functions;
	s64 (*before)(void);  /* called alone before each round; not 0 = a claim is false */
	s64 (*after)(void);   /* the same after each round */
	u64 rounds;           /* begun; the last to arrive at start writes */
	u32 ended;            /* 1 = no more rounds; the last to arrive at start writes */
	u32 nr_interrupts;
	struct scenario_interrupt *interrupts;
	struct rendezvous start;   /* all tasks, before each round */
	struct rendezvous barrier; /* those that have the operation */
};

#endif
