/* SPDX-License-Identifier: MIT */
/* Change text that other CPUs are running. */
#ifndef KERNEL_TEXT_POKE_H
#define KERNEL_TEXT_POKE_H

#include <kernel/mutex.h>
#include <kernel/text.h>

#define POKE_MAX_LENGTH 6
#define POKE_MAX_BATCH 256

/* Taken by whoever writes text, for as long as the write takes effect. */
extern struct mutex text_mutex;

/* Counters of this file, under text_mutex except where said. */
struct poke_stats {
	u64 writes;           /* calls of text_poke(), also made for others */
	u64 bytes;            /* single bytes written with text_poke_byte() */
	u64 batches;          /* text_poke_finish() with something queued */
	u64 entries;          /* instructions that these replaced */
	u64 emulated;         /* traps taken on a replacement under way; atomic */
};

extern struct poke_stats poke_stats;

/*
 * Write @length bytes at text address @addr, through the writable alias.
 * Nothing is done about CPUs that run there. Context: text_mutex held.
 */
void text_poke(u64 addr, const void *bytes, size_t length);

/*
 * Write one byte, and return when every CPU fetches it and no breakpoint handler
 * entered before still runs. Context: cpu_hotplug_lock and text_mutex held, may sleep.
 */
void text_poke_byte(u64 addr, u8 byte);

/*
 * The same for text that no CPU but this one runs: when it returns, this CPU runs what was
 * written, in its interrupts too. Context: text_mutex held, no task rests inside.
 */
void text_poke_in_place(u64 addr, const void *bytes, size_t length);

/*
 * Replace the instruction at @addr, or all that stand in @length bytes (at most
 * POKE_MAX_LENGTH), by one. A CPU that comes by meanwhile does what @emulate says; NULL = the
 * new bytes. They may be several again if they are what was loaded.
 * queue: takes effect by text_poke_finish() at the latest. bp: now.
 * Context: text_mutex held from the first queue to finish, and cpu_hotplug_lock around it;
 * interrupts on, may sleep.
 */
void text_poke_queue(u64 addr, const void *bytes, size_t length, const void *emulate);
void text_poke_finish(void);
void text_poke_bp(u64 addr, const void *bytes, size_t length, const void *emulate);

/* Called first of all for a breakpoint, with interrupts off: true = it was ours. */
bool poke_int3_handler(struct pt_regs *regs);

/* Who wrote this text byte last, or NULL: never written, or forgotten. */
const struct side *text_last_writer(u64 addr);

/* Who may have sent a CPU to @ip, where it has no business: as above, else who wrote last. */
const struct side *text_suspect(u64 ip);

/*
 * Compare text with what was loaded (instruction slots and data excepted). @excused: NULL,
 * or true for bytes that may differ. Returns how many others differ; the first one is a
 * finding of @kind. Context: text_mutex held.
 */
s64 text_compare(enum finding_kind kind, bool (*excused)(u64 addr));

/* Same, when no probe is armed: every byte must be as it was loaded. May sleep. */
s64 text_audit(void);

#endif
