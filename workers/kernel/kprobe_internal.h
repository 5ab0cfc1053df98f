/* SPDX-License-Identifier: MIT */
/* Between the files that kprobes are made of. */
#ifndef KERNEL_KPROBE_INTERNAL_H
#define KERNEL_KPROBE_INTERNAL_H

#include <kernel/kprobes.h>

/* By address; one entry per address. Written under kprobe_mutex, read by RCU. */
extern struct hlist_head kprobe_table[KPROBE_TABLE_SIZE];

/*
 * The registry: lists, flags. Taken before cpu_hotplug_lock, text_mutex and insn_slot_mutex.
 * Handlers take no lock.
 */
extern struct mutex kprobe_mutex;

/* True = no breakpoint is in text, whatever the flags say. Under kprobe_mutex. */
extern bool kprobes_all_disarmed;

static inline struct hlist_head *kprobe_bucket(u64 addr)
{
	/* Fibonacci hashing: Knuth, The Art of Computer Programming 3, 6.4. */
	return &kprobe_table[(addr * 0x61c8864680b583ebUL) >> (64 - KPROBE_HASH_BITS)];
}

static inline bool kprobe_gone(const struct kprobe *p)
{
	return READ_ONCE(p->flags) & KPROBE_FLAG_GONE;
}

/* Its breakpoint is not wanted: a gone probe's is not ours to touch. */
static inline bool kprobe_disabled(const struct kprobe *p)
{
	return READ_ONCE(p->flags) & (KPROBE_FLAG_DISABLED | KPROBE_FLAG_GONE);
}

/* Under kprobe_mutex; handlers look at flags without it. */
static inline void kprobe_set_flag(struct kprobe *p, u32 flag)
{
	WRITE_ONCE(p->flags, p->flags | flag);
}

static inline void kprobe_clear_flag(struct kprobe *p, u32 flag)
{
	WRITE_ONCE(p->flags, p->flags & ~flag);
}

/*
 * Kprobes at one address hang on the list of an aggregator, which stands in the
 * hash table for them. Its handlers call theirs. It uses the instruction slot of
 * the first one, and owns it from then on.
 */
bool kprobe_aggrprobe(const struct kprobe *p);
int aggr_pre_handler(struct kprobe *ap, struct pt_regs *regs);
void aggr_post_handler(struct kprobe *ap, struct pt_regs *regs, u64 flags);

/* @p joins @old, a plain kprobe or an aggregator at the same address. */
int register_aggr_kprobe(struct kprobe *old, struct kprobe *p);

/* @p leaves @ap, which keeps others. */
void aggr_remove_kprobe(struct kprobe *ap, struct kprobe *p);
bool aggr_all_disabled(const struct kprobe *ap);
bool aggr_has_post_handler(const struct kprobe *ap);

/* @ap is in no table any more, and no handler knows it. May sleep. */
void free_aggr_kprobe(struct kprobe *ap);

/* Put the breakpoint in: -EBUSY by fault injection. Take it out. Under kprobe_mutex. */
int arm_kprobe(struct kprobe *p);
void disarm_kprobe(struct kprobe *p);

#endif
