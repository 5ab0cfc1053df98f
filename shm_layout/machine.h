/* SPDX-License-Identifier: MIT */
/* The head of the shared mapping: configuration, state, and where everything is. */
#ifndef SHM_LAYOUT_MACHINE_H
#define SHM_LAYOUT_MACHINE_H

#include "cpu.h"
#include "request.h"
#include "text_map.h"

#define MACHINE_MAGIC 0x31306465627473ULL

enum machine_state {
	MACHINE_EMPTY,
	MACHINE_BOOTING,
	MACHINE_RUNNING,
	MACHINE_FINISHED,     /* every user task has ended */
	MACHINE_FROZEN,       /* a finding was made and all CPUs' state is saved */
	MACHINE_LOST,         /* a CPU died or was stopped: no verdict */
};

/* Parts of the arena, each page-aligned. */
enum region_id {
	REGION_MACHINE,       /* struct machine */
	REGION_GLOBALS,       /* the core's own .data and .bss, shared by all CPUs */
	REGION_STACKS,        /* MAX_TASKS times (trap stack, task stack) */
	REGION_HEAP,          /* slab */
	REGION_HARNESS,       /* argument blocks and tables that Python writes for C tasks */
	REGION_TABLES,        /* what Python writes there before boot, and nobody afterwards */
	REGION_FUNCTIONS,     /* struct text_function[] */
	REGION_TEXT_MAP,      /* struct text_insn[text.size] */
	REGION_PRISTINE,      /* the text as it was loaded */
	REGION_TEXT,          /* the writable alias of the text region */
	REGIONS
};

struct region {
	u64 offset;           /* bytes from ARENA_BASE, and into the memfd */
	u64 size;             /* bytes */
};

enum poke_method { POKE_INT3, POKE_STOP_MACHINE };

/* Where a task may lose its CPU: anywhere; or only where it blocks, yields or asks. */
enum preempt_model { PREEMPT_FULL, PREEMPT_NONE };

/* Python writes before boot; constant afterwards. */
struct config {
	u32 cpus;             /* 1..MAX_CPUS */
	u32 cores;            /* cores that this machine may use at once */
	u32 tick_us;          /* timer period, us; 0 = no preemption */
	u32 hang_ms;          /* a waiter older than this is a finding, ms; 0 = never */
	u32 stall_ms;         /* a grace period older than this is a finding, ms */
	u32 poke_method;      /* enum poke_method */
	u64 seed;
	u32 fail_arm;         /* arming fails once in so many times; 0 = never */
	u32 fail_alloc;       /* slab fails once in so many times; 0 = never */
	u32 pin;              /* 1 = pin CPUs to cores when there are enough */
	u32 write_delay;      /* between two bytes of one write to text, cycles; 0 = none */
	u32 device_us;        /* devices interrupt so often, us, on average; 0 = never */
	u32 reuse_delay;      /* freed trampolines that are kept before one is used again */
	u32 preempt;          /* enum preempt_model */
	u32 pad;
};

struct machine {
	u64 magic;            /* MACHINE_MAGIC: Python writes it last */
	u64 arena_size;       /* bytes */
	u64 globals_address;  /* first page of .data/.bss in the core */
	struct config config;
	struct region region[REGIONS];
	struct text text;

	u32 state;            /* enum machine_state; futex */
	u32 stop;             /* 1 = user tasks are asked to end; Python writes */
	u32 online;           /* CPUs up; futex, atomic */
	u32 user_tasks;       /* user tasks not yet ended; atomic */
	u32 nr_findings;      /* claimed places; atomic, may exceed MAX_FINDINGS */
	u32 heartbeat;        /* the coordinator adds each turn */
	s32 coordinator;      /* pid */
	s32 boot_error;       /* -errno of what failed while booting */
	u32 boot_step;        /* which step that was */
	u64 jiffies;          /* virtual machine: what time it is, ticks; its CPUs write */

	struct finding finding[MAX_FINDINGS];
	struct request request[MAX_REQUESTS];
	struct task_struct task[MAX_TASKS];
	struct cpu cpu[MAX_CPUS];
};

#define the_machine ((struct machine *)ARENA_BASE)

#endif
