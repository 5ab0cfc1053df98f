/* SPDX-License-Identifier: MIT */
/* A CPU: a worker process on the real machine. */
#ifndef SHM_LAYOUT_CPU_H
#define SHM_LAYOUT_CPU_H

#include "ring.h"
#include "task.h"

/* Pending interrupts of a CPU: bits of cpu->irq_pending. */
#define IRQ_CALL 0x1          /* cross calls are queued */
#define IRQ_RESCHED 0x2       /* a task became runnable */
#define IRQ_TICK 0x4          /* the timer */
#define IRQ_REQUEST 0x8       /* Python asks for something */
#define IRQ_YIELD 0x10        /* real machine: its time on this core is over */
#define IRQ_GIVE_WAY 0x20     /* real machine: another CPU of its core is waited for */
#define IRQ_TIMER 0x40        /* the moment has come that this CPU asked for: cpu->timer */
#define IRQ_WORK 0x80         /* what interrupts and NMIs put off: irq_work, softirqs */
#define IRQ_DEVICE(line) (0x100u << (line)) /* a device, by its line of this CPU */
#define IRQ_DEVICES 0xff00u
#define IRQ_REARM 0x10000u    /* another CPU has armed a timer of this one */
#define IRQ_RCU 0x20000u      /* its own: a report is owed and may be possible now */

#define IRQ_LINES 8           /* of each CPU: devices and sources of NMIs have one each */

/* Real machine with more CPUs than cores: may this CPU use one? */
enum core_state { CORE_NONE, CORE_WANTED, CORE_HELD };

/* Does this CPU take tasks? Each step is made by a task of its own, the last one by its stopper. */
enum cpu_leaving {
	CPU_TAKES_TASKS,
	CPU_ASKS_TASKS,       /* those that run are asked to park; who wakes, runs */
	CPU_CLOSED,           /* only its own kernel threads run; who wakes, waits */
	CPU_OFFLINE,          /* nobody runs; its idle task rests until it is brought up */
};

/* Where a frozen CPU stood. */
struct frozen {
	u32 valid;            /* 1 = the CPU answered the freeze */
	u32 task;             /* index of the task that ran */
	struct pt_regs regs;
	u64 stack[STACK_FRAMES];
};

struct cpu {
	/* Interrupt state: the owner's alone, except irq_pending (atomic, all). */
	u32 irq_off;          /* 1 = interrupts disabled; read by all who check */
	u32 preempt_count;    /* 0 = preemptible; also the RCU reader's nesting; see irqflags.h */
	u32 irq_pending;      /* IRQ_* bits */
	u32 irq_depth;        /* nesting of interrupt handlers */
	u32 preempt_work;     /* PREEMPT_WORK_*: looked at when the count falls to 0 */
	u32 id;               /* never changes */
	struct pt_regs *irq_regs; /* interrupted registers, NULL = interrupt was polled */
	u32 yield;            /* asked to give its core away; owner only */
	u32 nmi_depth;        /* 1 = in an NMI */
	u16 irq_busy;         /* lines whose handler runs */
	u16 irq_again;        /* of those: interrupted once more meanwhile */
	u32 keepers;          /* its tasks with keeps > 0; preemption is off while it is changed */
	u64 nr_devices;       /* device interrupts handled */
	u64 nr_nmis;

	/* Counters: the owner adds, who watches reads. */
	u64 nr_irqs;          /* interrupts taken by signal */
	u64 nr_polled;        /* interrupts taken without one */
	u64 nr_ticks;
	u64 nr_switches;
	u64 nr_preempted;
	u64 nr_traps;         /* int3 and single-step traps */
	u64 nr_sleeps;        /* times the CPU gave its core away */
	u64 nr_spurious;      /* signals that found nothing to do */

	/* The owner writes, all read. */
	struct task_struct *curr; /* the task that runs */
	struct task_struct *idle; /* set at boot, as the next */
	struct task_struct *stopper;
	u32 online;           /* 1 = takes part; the coordinator writes too */
	u32 in_eqs;           /* 1 = idle, RCU does not watch */
	u32 leaving;          /* enum cpu_leaving; under runqueue_lock, too */

	/* Scheduler: under runqueue_lock, whose holder has interrupts off. */
	u32 runqueue_lock;
	u32 nr_running;       /* runnable tasks without the idle task */
	u32 woken;            /* tasks that woke while CPU_ASKS_TASKS, modulo 2^32 */
	struct list_head runqueue;

	/* Sleeping and waking: real machine. */
	u32 sleeping;         /* 1 = sleeps, or is about to, on event; owner writes */
	u32 event;            /* futex; whoever wakes adds 1 */
	s32 owner_tid;        /* OS thread that is this CPU now; owner writes */
	s32 pid;              /* worker process; set at boot */
	u32 core;             /* enum core_state; under a lock of real/cores.c */
	u32 answering;        /* 1 = has a core only to take an interrupt; same lock */
	u64 synced;           /* when it last fetched its instructions anew, cycles; owner writes */
	u32 interrupted;      /* 1 = gave its core away before its time was over; same lock */
	u32 spawn;            /* futex: tasks that want a thread; anyone adds */
	u32 lost;             /* 1 = its process died or was stopped; coordinator writes */
	u32 irq_lines;        /* lines with the handler of a device; who requests or frees */
	u32 nmi_lines;        /* lines with a handler of NMIs; likewise */
	u32 nmi_pending;      /* those of them that an NMI is to be handled of; atomic, all */
	u32 nmi_off;          /* real machine: nesting of what no NMI may come into; owner */
	u32 pad2;

	u64 timer;            /* when IRQ_TIMER comes next, jiffies; 0 = never; the machine's */
	struct frozen frozen;
	struct ring ring;
} __cacheline_aligned;

/* While the words up to here are 0, an interrupt does all that it may do. */
#define CPU_GUARDS_END offsetof(struct cpu, irq_pending)
/* Up to the first only the owner looks, and checks; up to the second only it writes. */
#define CPU_PRIVATE_END offsetof(struct cpu, curr)
#define CPU_OWNED_END offsetof(struct cpu, runqueue_lock)

/* Bit n: an interrupt leaves word n, of 4 bytes, as it was, for the task that it comes into. */
#define CPU_WORD(field) (1UL << (offsetof(struct cpu, field) / 4))
#define CPU_RESTORED \
	(CPU_WORD(irq_off) | CPU_WORD(preempt_count) | CPU_WORD(irq_depth) | CPU_WORD(id) | \
	 CPU_WORD(irq_regs) | CPU_WORD(nmi_depth) | CPU_WORD(curr) | CPU_WORD(idle) | \
	 CPU_WORD(stopper))

static_assert(CPU_PRIVATE_END == 2 * CACHE_LINE, "the counters fill a line");
static_assert(offsetof(struct cpu, sleeping) == 3 * CACHE_LINE, "the scheduler fills a line");

#define PREEMPT_WORK_RESCHED 0x1 /* a task wants this CPU */
#define PREEMPT_WORK_QS 0x2      /* a grace period waits for this CPU */
#define PREEMPT_WORK_EXPIRED 0x4 /* the running task's time is up */
#define PREEMPT_WORK_SRCU 0x100  /* somebody waits for readers of SRCU to leave here */
#define PREEMPT_WORK_SOFTIRQ(nr) (0x10000u << (nr)) /* it was raised, and has not begun */
#define PREEMPT_WORK_SOFTIRQS 0xffff0000u

#endif
