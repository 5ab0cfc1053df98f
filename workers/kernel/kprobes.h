/* SPDX-License-Identifier: MIT */
/* Kprobes: the registry. */
#ifndef KERNEL_KPROBES_H
#define KERNEL_KPROBES_H

#include <kernel/mutex.h>
#include <list.h>
#include <shm_layout/probe.h>

#define KPROBE_HASH_BITS 9
#define KPROBE_TABLE_SIZE (1 << KPROBE_HASH_BITS)

/*
 * -EINVAL    neither or both of addr and symbol_name; registered already; not text; blacklisted
 * -ENOENT    no such symbol; no function covers the address; its module is unloading
 * -EILSEQ    not the start of an instruction, or somebody else has changed it
 * -EOPNOTSUPP an instruction that cannot be run elsewhere
 * -ENOMEM, -ENOSPC, -ERANGE  no memory, no slot, slot out of reach
 * -EBUSY     could not be armed (config.fail_arm)
 * After 0: every CPU meets the breakpoint. Context: task, may sleep.
 */
int register_kprobe(struct kprobe *p);
int register_kprobes(struct kprobe **kps, int num); /* all or none */

/* After return no handler of @p runs or can start. A probe not registered gets addr = 0. */
void unregister_kprobe(struct kprobe *p);
void unregister_kprobes(struct kprobe **kps, int num); /* with one grace period */

int disable_kprobe(struct kprobe *p);
int enable_kprobe(struct kprobe *p);

/* Globally: breakpoints of enabled probes are taken out, and put back. */
int arm_all_kprobes(void);
void disarm_all_kprobes(void);

/* No probe may be set in [start, end). Existing ones stay. */
int kprobe_blacklist_add(u64 start, u64 end);
int kprobe_blacklist_remove(u64 start, u64 end);
bool kprobe_is_blacklisted(u64 addr);

/* The module's text is about to disappear: its probes are gone. Called by text.c. */
void kprobes_module_going(int module);

/* Check that flags, lists, hash table and text agree. Returns the probes, without aggregators. */
s64 kprobes_audit(void);
/* The same without text as a whole, for who is alone and need not wait for anybody. */
s64 kprobes_audit_bucket(const struct hlist_head *bucket);
/* This byte of text need not be as it was loaded. Under kprobe_mutex, or alone. */
bool kprobes_excuse(u64 addr);

/* The probe (or aggregator) at @addr. Context: kprobe_mutex held, or RCU reader. */
struct kprobe *get_kprobe(u64 addr);

/* Who took the last probe at @addr away, or NULL: nobody, or forgotten. For reports. */
const struct side *kprobe_last_leaver(u64 addr);

/* The text address whose copy lies at slot address @ip; 0 = none. For reports. */
u64 kprobe_slot_origin(u64 ip);

/* kprobe_hit.c; called by x86/traps.c with interrupts off: true = it was ours. */
bool kprobe_int3_handler(struct pt_regs *regs);
bool kprobe_debug_handler(struct pt_regs *regs);

struct kprobe *kprobe_running(void);

/* Hits of all probes, by CPU; each CPU adds to its own. */
struct kprobe_stats {
	u64 hits;             /* pre handlers called */
	u64 missed;           /* hits met inside another handler */
	u64 stepped;          /* instructions run by single-step */
	u64 boosted;          /* by a jump through the slot */
	u64 emulated;
	u64 redirected;       /* handlers that changed ip */
} __cacheline_aligned;

extern struct kprobe_stats kprobe_stats[MAX_CPUS];

#endif
