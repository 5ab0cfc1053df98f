// SPDX-License-Identifier: MIT
/* Decode what is being written, once, and emulate from that: live text is half-written. */
#include <memory.h>
#include <x86/emulate.h>
#include <x86/insn.h>
#include <x86/poke_insn.h>

enum poke_insn_kind { POKE_INT3_INSN, POKE_NOP, POKE_RET, POKE_CALL, POKE_JMP, POKE_JCC };

static const u8 nop2[NOP2_INSN_SIZE] = { 0x66, 0x90 };
static const u8 nop5[NOP5_INSN_SIZE] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

static bool is_nop(const u8 *bytes, size_t length)
{
	return (length == sizeof(nop2) && !compare_bytes(bytes, nop2, length)) ||
	       (length == sizeof(nop5) && !compare_bytes(bytes, nop5, length));
}

static void set_short(struct poke_insn *insn, u32 kind, const u8 *bytes)
{
	insn->kind = kind;
	insn->length = 2;
	insn->displacement = (s8)bytes[1];
}

/* A displacement of four bytes behind @opcode bytes. */
static void set_near(struct poke_insn *insn, u32 kind, const u8 *bytes, u32 opcode)
{
	insn->kind = kind;
	insn->length = opcode + sizeof(s32);
	copy_bytes(&insn->displacement, bytes + opcode, sizeof(s32));
}

/* Sets kind and length by the opcode; length 0 = not one of ours. */
static void decode_opcode(struct poke_insn *insn, const u8 *bytes, size_t length)
{
	if (bytes[0] == INT3_INSN_OPCODE || bytes[0] == RET_INSN_OPCODE) {
		insn->kind = bytes[0] == RET_INSN_OPCODE ? POKE_RET : POKE_INT3_INSN;
		insn->length = 1;
	} else if (is_nop(bytes, length)) {
		insn->kind = POKE_NOP;
		insn->length = length;
	} else if (bytes[0] == CALL_INSN_OPCODE && length >= 5) {
		set_near(insn, POKE_CALL, bytes, 1);
	} else if (bytes[0] == JMP32_INSN_OPCODE && length >= 5) {
		set_near(insn, POKE_JMP, bytes, 1);
	} else if (bytes[0] == JMP8_INSN_OPCODE && length >= 2) {
		set_short(insn, POKE_JMP, bytes);
	} else if ((bytes[0] & 0xf0) == 0x70 && length >= 2) {
		set_short(insn, POKE_JCC, bytes);
		insn->condition = bytes[0] & 0xf;
	} else if (bytes[0] == 0x0f && length >= 6 && (bytes[1] & 0xf0) == 0x80) {
		set_near(insn, POKE_JCC, bytes, 2);
		insn->condition = bytes[1] & 0xf;
	}
}

bool poke_insn_decode(struct poke_insn *insn, const u8 *bytes, size_t length)
{
	*insn = (struct poke_insn){ 0 };
	if (!length)
		return false;
	decode_opcode(insn, bytes, length);
	if (!insn->length)
		return false;
	if (insn->length == length)
		return true;
	/* Nothing goes on behind these, so what stands there is never run. */
	if (insn->kind != POKE_RET && insn->kind != POKE_JMP && insn->kind != POKE_INT3_INSN)
		return false;
	for (size_t n = insn->length; n < length; n++) {
		if (bytes[n] != INT3_INSN_OPCODE)
			return false;
	}
	return true;
}

bool poke_insn_emulate(const struct poke_insn *insn, u64 addr, struct pt_regs *regs)
{
	u64 next = addr + insn->length, target = next + insn->displacement;

	switch (insn->kind) {
	case POKE_INT3_INSN:
		return false;
	case POKE_RET:
		next = emulate_pop(regs);
		break;
	case POKE_CALL:
		emulate_push(regs, next);
		next = target;
		break;
	case POKE_JMP:
		next = target;
		break;
	case POKE_JCC:
		if (condition_holds(insn->condition, regs->flags))
			next = target;
		break;
	}
	regs->ip = next;
	return true;
}
