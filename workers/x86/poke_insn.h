/* SPDX-License-Identifier: MIT */
/* Instructions that text_poke may put in place of others. */
#ifndef X86_POKE_INSN_H
#define X86_POKE_INSN_H

#include <machine.h>

/* What a CPU does that comes by while the text is being changed. */
struct poke_insn {
	u8 kind;              /* enum poke_insn_kind */
	u8 condition;         /* of a conditional jump, 0..15 */
	u8 length;            /* bytes, without int3 padding */
	u8 pad;
	s32 displacement;     /* of a jump or call, from the end of the instruction */
};

/*
 * @length bytes are int3, ret, call rel32, jmp rel8 or rel32, jcc rel8 or rel32, nop2 or
 * nop5; ret and jmp may have int3 behind them. False = something else.
 */
bool poke_insn_decode(struct poke_insn *insn, const u8 *bytes, size_t length);

/* Do it to @regs, standing at @addr. False = int3: somebody else's. */
bool poke_insn_emulate(const struct poke_insn *insn, u64 addr, struct pt_regs *regs);

#endif
