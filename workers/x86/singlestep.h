/* SPDX-License-Identifier: MIT */
/* Prepare the copy of a probed instruction, and run it for one step. */
#ifndef X86_SINGLESTEP_H
#define X86_SINGLESTEP_H

#include <machine.h>
#include <shm_layout/probe.h>

/*
 * Fill in p->opcode and p->ainsn for p->addr. -EILSEQ, -EOPNOTSUPP, -ENOMEM, -ENOSPC,
 * -ERANGE as for register_kprobe(). Context: text_mutex held, may sleep.
 */
int arch_prepare_kprobe(struct kprobe *p);

/* Give the slot back; once more does nothing. May sleep. */
void arch_remove_kprobe(struct kprobe *p);

/* Go to the copy, and trap after one instruction. */
void singlestep_begin(const struct kprobe *p, struct pt_regs *regs);

/* True if regs->ip is where a step of @p's copy may have ended. */
bool singlestep_is_at(const struct kprobe *p, const struct pt_regs *regs);

/* The step is done: go on behind the original. False = a repeated instruction is not done yet. */
bool singlestep_end(const struct kprobe *p, struct pt_regs *regs, u64 flags_before);

#endif
