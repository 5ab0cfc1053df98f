/* SPDX-License-Identifier: MIT */
/* Traps, as the machine hands them over: interrupts off, RCU watching, any ip. */
#ifndef X86_TRAPS_H
#define X86_TRAPS_H

#include <machine.h>

#define X86_FLAGS_TF 0x100

/*
 * Below the interrupted stack pointer, before the trap's own frame: the red zone, and
 * room for the return address of a call that is emulated.
 */
#define TRAP_FRAME_GAP (128 + 64)

/*
 * A breakpoint: regs->ip is behind it. If X86_FLAGS_TF is set in regs->flags afterwards,
 * interrupts stay off until do_debug() has cleared it.
 */
void do_int3(struct pt_regs *regs);
void do_debug(struct pt_regs *regs);

#endif
