/* SPDX-License-Identifier: MIT */
/* Do to trapped registers (and the interrupted stack) what an instruction would. */
#ifndef X86_EMULATE_H
#define X86_EMULATE_H

#include <machine.h>

/* True if instructions like @insn are emulated, not copied and run. */
bool insn_is_emulated(const struct text_insn *insn);

/* False if there is a form of this class that emulation does not know. */
bool insn_can_emulate(const struct text_insn *insn);

/* @insn stands at @addr. What regs->ip was does not matter. */
void insn_emulate(const struct text_insn *insn, u64 addr, struct pt_regs *regs);

/* The x86 condition 0..15 (o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g). */
bool condition_holds(u32 condition, u64 flags);

void emulate_push(struct pt_regs *regs, u64 value);
u64 emulate_pop(struct pt_regs *regs);

/* At the first instruction of a function: return @value from it. */
void override_function_with_return(struct pt_regs *regs, u64 value);

#endif
