/* SPDX-License-Identifier: MIT */
/* What went wrong: written once by the CPU that met it, made into sentences by Python. */
#ifndef SHM_LAYOUT_FINDING_H
#define SHM_LAYOUT_FINDING_H

#include "types.h"

enum finding_kind {
	FINDING_NONE,
	FINDING_CLAIM,            /* a claim of the scenario is false; values: its own */
	FINDING_USE_AFTER_FREE,   /* object, size, freed by other side */
	FINDING_DOUBLE_FREE,      /* object, size, freed by other side */
	FINDING_OVERRUN,          /* object, size, first bad byte, value; other = allocation */
	FINDING_LEAK,             /* object, size; other = allocation */
	FINDING_BAD_FREE,         /* pointer that no allocation ever returned */
	FINDING_CRASH,            /* signal, fault address, trap number, error code */
	FINDING_UNKNOWN_TRAP,     /* text address, byte found; other = who last wrote it */
	FINDING_TEXT_CORRUPT,     /* text address, expected, found; other = who last wrote it */
	FINDING_TEXT_NOT_PRISTINE,/* text address, pristine, found; other = who last wrote it */
	FINDING_HANDLER_AFTER_UNREGISTER, /* probe, text address; other = unregister */
	FINDING_LOST_HIT,         /* probe, hits expected, hits made, text address */
	FINDING_EXTRA_HIT,        /* probe, hits expected, hits made, text address */
	FINDING_LOST_MISS,        /* probe, missed at least, missed at most, counted */
	FINDING_WRONG_RESULT,     /* function, argument, expected, returned */
	FINDING_BAD_STATE,        /* object, state found, state expected */
	FINDING_BAD_CONTEXT,      /* what was called, preempt count, irqs off, in irq */
	FINDING_HANG,             /* task, wait kind, object, milliseconds */
	FINDING_DEADLOCK,         /* task, wait kind, object, tasks in the cycle */
	FINDING_STALL,            /* rcu state, cpu, milliseconds */
	FINDING_NO_PROGRESS,      /* cpu, milliseconds, task; explorer: its last operation */
	FINDING_CPU_LOST,         /* cpu, pid, wait status: not a verdict on the code */
	FINDING_UNSYNCED_TEXT,    /* text address, cpu, cycles since written; other = that cpu */
	FINDING_DATA_RACE,        /* address, size, ACCESS_* of both, address and size of other */
	FINDING_LOST_WAKEUP,      /* enum waiting_for, object, value found, cpus that wait */
	FINDING_LIVELOCK,         /* cpus that have not ended, states: no schedule ends from here */
	/* Bytes of an instruction: the first is the lowest; the highest says how many. */
	FINDING_TORN_INSN,        /* text address, bytes fetched, bytes there; other = who wrote */
	FINDING_INSIDE_INSN,      /* text address, start, bytes fetched, address before; likewise */
	FINDING_FREED_TEXT,       /* text address, start, size; other = who freed it */
	FINDING_LOCK_ORDER,       /* lock, one held, since; other's lock, object since; locks */
	FINDING_LOCK_IRQ,         /* lock of interrupts, lock held, cpu, taken at, held at */
	FINDING_LOCK_CALL,        /* lock, cpu that is called, at, where it waits for the lock */
	FINDING_SHORT_GRACE_PERIOD, /* cpu of a reader, domain; other = where it began */
	FINDING_UNBALANCED,       /* function, preempt count before, after, irqs off ~, ~, locks */
	FINDING_OLD_ELEMENT,      /* element, grace periods since its removal; other = the last */
	FINDING_REFCOUNT,         /* count, enum refcount_fault, what it was before */
	FINDING_KINDS
};

/* What kind of access one side of FINDING_DATA_RACE made. */
#define ACCESS_WRITE 0x1
#define ACCESS_PLAIN 0x2
#define ACCESS_LOCKED 0x4     /* read and written at once */

/* One side of a race: who, when, and the way there. */
struct side {
	u32 cpu;
	u32 task;                 /* index */
	u64 tsc;                  /* cycles; 0 = this side is not known */
	u64 stack[STACK_FRAMES];  /* return addresses, innermost first; 0 ends; none = as frozen */
	u64 pad;
};

static_assert(sizeof(struct side) == 120 || sizeof(struct side) == 128, "small");

/* General registers at a trap, in the order of the kernel's pt_regs. */
struct pt_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	u64 orig_ax;              /* trap number */
	u64 ip, cs, flags, sp, ss;
};

struct finding {
	u32 kind;                 /* enum finding_kind; written last */
	u32 has_regs;             /* 1 = regs and bytes are valid */
	struct side here;
	struct side other;        /* tsc 0 = there is none */
	u64 value[6];             /* by kind, see above */
	struct pt_regs regs;
	u8 bytes_found[32];       /* text around regs.ip - 8, as it stood */
	u8 bytes_expected[32];    /* the same bytes of the pristine image */
	u64 bytes_addr;           /* 0 = ip was outside of text */
};

#endif
