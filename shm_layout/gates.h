/* SPDX-License-Identifier: MIT */
/*
 * The order that one run of the explorer had, to be forced on real CPUs.
 *
 * The run is cut into turns: in each of them one CPU goes, and the others stand
 * before what they do in their next turn. Where a turn begins is a gate. Python
 * writes the table when the machine has booted and before its tasks start.
 */
#ifndef SHM_LAYOUT_GATES_H
#define SHM_LAYOUT_GATES_H

#include "explore.h"

#define MAX_GATES 1024
#define GATE_SITES 16         /* places in the code that are the same one in the source */

/* What a CPU does at a gate. */
enum gate_kind {
	GATE_TURN,            /* its turn before has ended; wait for this one */
	GATE_NOTE,            /* nothing: what follows is counted from here */
	GATE_IRQ,             /* wait for the turn, then take the interrupts that are pending */
	GATE_STAY,            /* wait for the turn, then stay before this access */
	GATE_MEET,            /* wait for the turn: does another CPU stay before the same datum? */
	GATE_START,           /* wait for the turn and for another CPU, then both go at once */
	GATE_STOP,            /* at any access: the run did not go on; wait for its end */
};

/* Where the datum of an access lies, if its address cannot be known before. */
enum gate_area {
	GATE_ANYWHERE,
	GATE_IN_STACKS,
	GATE_IN_MACHINE,      /* struct machine */
	GATE_ELSEWHERE,
};

/* Python writes. */
struct gate {
	u64 site[GATE_SITES]; /* return addresses of calls of hooks; 0 = no more, first: any */
	u64 addr;             /* of the access; 0 = any in area */
	u32 area;             /* enum gate_area */
	u32 nth;              /* such access since the CPU's gate before, from 1 */
	u32 cpu;
	u32 kind;             /* enum gate_kind */
	u32 turn;             /* that begins here */
	u32 next;             /* gate of the same CPU + 1; 0 = this is its last */
	u32 follows;          /* 1 = at the same access as the gate before, which came back */
	u32 sources;          /* who interrupts here: bit 0 = tick, n + 1 = line n, then timer */
};

/* Written by the CPU alone while gates are armed. */
struct gate_cpu {
	u32 next;             /* gate + 1 that it comes to next; 0 = none. Python: the first one */
	u32 count;            /* accesses at that gate's place so far */
	u32 turn;             /* that it has, or had last, + 1; 0 = none yet */
	u32 passed;           /* gates */
};

struct gates {
	/* Python: */
	u64 patience_ns;      /* a CPU waits for its turn so long; then all gates open */
	u32 nr_gates;
	u32 nr_turns;
	u32 nr_tasks;         /* of task[], besides those that the C files mark */
	u32 access[2];        /* ACCESS_* of both sides: of who meets, of who stays */
	u32 skew[2];          /* of who comes to GATE_START first, and of the other one, cycles */
	u32 nr_interrupts;    /* of interrupt[]; likewise */
	s64 (*before)(void);  /* see struct explore */
	s64 (*check)(void);
	struct explored_task task[MAX_EXPLORED_TASKS];
	struct explored_interrupt interrupt[MAX_EXPLORED_INTERRUPTS];
	struct gate gate[MAX_GATES];
	/* CPUs: */
	u64 cpus;             /* mask of those with tasks */
	u64 arrived;          /* mask of those that stand at the first one's beginning; atomic */
	u32 armed;            /* 1 = all have come there: gates count */
	u32 turn;             /* whose turn it is; who has it passes it on */
	u32 open;             /* turn + 1 that did not end in time: no gate holds anybody since */
	u32 discarded;        /* 1 = an assumption did not hold */
	u32 stands;           /* 1 = time stands, but for timers at gates; until all gates open */
	u32 pad;
	u64 stopped;          /* when it came to stand, jiffies */
	u64 skipped;          /* jiffies that have passed at gates; atomic */
	u64 timer[MAX_CPUS];  /* cpu->timer meanwhile; its CPU writes, and who ends it */
	struct gate_cpu cpu[MAX_CPUS];
	/* Who stays before an access; its CPU writes, valid last. */
	struct side stays;
	u64 stay_addr;
	u32 stay_size;        /* bytes; 0 = nobody stays */
	u32 met;              /* 1 = another CPU came to the same datum meanwhile */
	u64 start;            /* when both go, cycles; 0 = not known yet */
	u32 started;          /* CPUs that have come to their GATE_START; atomic */
};

#endif
