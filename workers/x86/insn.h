/* SPDX-License-Identifier: MIT */
/* x86 instructions: a few encodings, and copying one to where it runs elsewhere. */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <machine.h>

#define INT3_INSN_OPCODE 0xcc
#define RET_INSN_OPCODE 0xc3
#define CALL_INSN_OPCODE 0xe8
#define JMP32_INSN_OPCODE 0xe9
#define JMP8_INSN_OPCODE 0xeb
#define JMP32_INSN_SIZE 5
#define NOP2_INSN_SIZE 2
#define NOP5_INSN_SIZE 5

/*
 * Copy the instruction at text address @addr so that it can run at @to: a RIP-relative
 * operand still means the same memory. Returns its length, -EILSEQ if a byte of it is not
 * as it was loaded, -ERANGE if the operand is out of reach.
 */
int insn_copy(u8 *copy, u64 to, u64 addr, const struct text_insn *insn);

/* Write "jmp @target" that stands at @from. Returns its length, or -ERANGE. */
int insn_write_jump(u8 *bytes, u64 from, u64 target);

#endif
