// SPDX-License-Identifier: MIT
/* Copy instructions, write jumps. What an instruction is, the text map says. */
#include <error.h>
#include <kernel/text.h>
#include <memory.h>
#include <x86/insn.h>

static bool fits_s32(s64 value)
{
	return value == (s32)value;
}

/* The operand is relative to the end of the instruction, which moves from @addr to @to. */
static int rebase_operand(u8 *copy, u64 to, u64 addr, u32 offset)
{
	s32 displacement;
	s64 moved;

	copy_bytes(&displacement, copy + offset, sizeof(displacement));
	moved = (s64)displacement + (s64)(addr - to);
	if (!fits_s32(moved))
		return -ERANGE;
	displacement = moved;
	copy_bytes(copy + offset, &displacement, sizeof(displacement));
	return 0;
}

int insn_copy(u8 *copy, u64 to, u64 addr, const struct text_insn *insn)
{
	int error;

	if (compare_bytes(text_alias(addr), text_pristine(addr), insn->length))
		return -EILSEQ;
	copy_bytes(copy, text_pristine(addr), insn->length);
	if (!(insn->flags & INSN_RIP_RELATIVE))
		return insn->length;
	error = rebase_operand(copy, to, addr, insn->target);
	return error ? error : insn->length;
}

int insn_write_jump(u8 *bytes, u64 from, u64 target)
{
	s64 distance = target - (from + JMP32_INSN_SIZE);
	s32 displacement = distance;

	if (!fits_s32(distance))
		return -ERANGE;
	bytes[0] = JMP32_INSN_OPCODE;
	copy_bytes(bytes + 1, &displacement, sizeof(displacement));
	return JMP32_INSN_SIZE;
}
