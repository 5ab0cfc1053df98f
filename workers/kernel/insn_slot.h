/* SPDX-License-Identifier: MIT */
/* Small pieces of executable memory near text, for copies of instructions. */
#ifndef KERNEL_INSN_SLOT_H
#define KERNEL_INSN_SLOT_H

#include <machine.h>

#define INSN_SLOT_SIZE 16     /* bytes: the longest instruction is 15 */

/* A free slot's text address in *@slot; -ENOSPC: all are in use. May sleep. */
int insn_slot_get(u64 *slot);

/*
 * Give @slot back. @dirty: a task may still be interrupted inside, so it is used again
 * only after a grace period. May sleep.
 */
void insn_slot_put(u64 slot, bool dirty);

/* Slots that probes own: 0 when none is registered. */
u64 insn_slots_used(void);

#endif
