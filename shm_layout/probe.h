/* SPDX-License-Identifier: MIT */
/* A kprobe, what a CPU does with one, and what the harness's handlers count. */
#ifndef SHM_LAYOUT_PROBE_H
#define SHM_LAYOUT_PROBE_H

#include "task.h"
#include "text_map.h"

#define KPROBE_FLAG_GONE 0x1     /* its module is unloading: the text is not touched any more */
#define KPROBE_FLAG_DISABLED 0x2 /* registered, handlers do not run */

struct kprobe;

/* Non-zero = the handler has changed regs->ip: go there, run nothing of the probed instruction. */
typedef int (*kprobe_pre_handler_t)(struct kprobe *p, struct pt_regs *regs);
typedef void (*kprobe_post_handler_t)(struct kprobe *p, struct pt_regs *regs, u64 flags);

/* How the probed instruction is made to happen. Written once, before the probe is armed. */
struct arch_specific_insn {
	u64 slot;             /* text address of the copy; 0 = emulated, or freed */
	struct text_insn insn;/* what the text map says of it */
	u32 boostable;        /* 1 = a jump back stands behind the copy */
	u32 pad;
};

/*
 * The caller fills in addr or symbol_name, offset, the handlers, data, and
 * KPROBE_FLAG_DISABLED if wanted; the rest belongs to kernel/kprobes.c, which
 * writes it under kprobe_mutex.
 */
struct kprobe {
	struct hlist_node hlist;       /* in kprobe_table, RCU */
	struct list_head list;         /* on the aggregator's list, RCU; an aggregator: the head */
	u64 nmissed;                   /* hits met inside another handler; atomic, any CPU */
	u64 addr;                      /* text address; 0 = find it by symbol_name */
	const char *symbol_name;       /* NULL = addr is given */
	u64 offset;                    /* bytes, added to addr or to the symbol */
	kprobe_pre_handler_t pre_handler;
	kprobe_post_handler_t post_handler;
	u32 flags;                     /* KPROBE_FLAG_* */
	u8 opcode;                     /* first byte of the original instruction */
	u8 pad[3];
	struct arch_specific_insn ainsn;
	void *data;                    /* the caller's own; probe_handlers.c: struct probe_record */
};

enum kprobe_status {
	KPROBE_HIT_NONE,
	KPROBE_HIT_ACTIVE,    /* in the pre handler */
	KPROBE_HIT_SS,        /* running the copied instruction */
	KPROBE_HIT_SSDONE,    /* in the post handler */
	KPROBE_REENTER,       /* running the copy for a hit inside another one */
};

/* Into a handler, and into the copy that runs for that: by an NMI, which nothing re-enters. */
#define KPROBE_REENTRIES 2

/* The kprobe that a CPU is inside. Written by that CPU alone, interrupts off. */
struct kprobe_cpu {
	struct kprobe *running;    /* NULL = none: what is below means nothing */
	struct kprobe *instance;   /* the aggregator's child whose handler runs; NULL = none */
	u64 saved_flags;           /* regs->flags at the hit: handed to the post handler */
	u32 status;                /* enum kprobe_status */
	u16 nr_previous;           /* re-entries under way */
	u8 previous_status[KPROBE_REENTRIES];
	struct {
		struct kprobe *running;
		u64 saved_flags;
	} previous[KPROBE_REENTRIES]; /* what each of them re-entered */
};

static_assert(sizeof(struct kprobe_cpu) == 64, "one cache line per CPU");

/* A record's life; its owner (the task that registers and unregisters) writes. */
enum record_state {
	RECORD_IDLE,          /* register_kprobe() not called, or not returned yet */
	RECORD_REGISTERED,    /* register_kprobe() has returned 0 */
	RECORD_UNREGISTERING, /* unregister_kprobe() is about to be called */
	RECORD_UNREGISTERED,  /* it has returned: no handler may be running */
};

struct record_cpu {
	u64 hits;             /* pre handler entered; its CPU adds, unlocked */
	u64 post_hits;        /* post handler entered; its CPU adds, unlocked */
	u64 reentered;        /* calls made by "reenter"; its CPU adds, unlocked */
} __cacheline_aligned;

/* What the handlers of probe_handlers.c work on. Outlives the kprobe that points to it. */
struct probe_record {
	u32 state;            /* enum record_state; owner */
	u32 unregister_wanted;/* "unregister_elsewhere" sets 1; whoever unregisters clears */
	u64 delay_cycles;     /* "delay": cycles to spin; owner, before register */
	u64 function;         /* "reenter": text address to call; owner, before register */
	u64 argument[2];      /* "reenter": its arguments */
	u64 expected;         /* "reenter": what it returns */
	u64 skip_value;       /* "skip": what the probed function returns */
	u64 pad;
	struct side registered;   /* who called register_kprobe(); owner */
	struct side unregistered; /* recorded when unregister_kprobe() had returned; owner */
	struct record_cpu cpu[MAX_CPUS];
};

#endif
