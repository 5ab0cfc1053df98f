// SPDX-License-Identifier: MIT
/*
 * Instructions that cannot run from a copy, or should not: what they do depends
 * on where they stand, or they would see the trap flag.
 * Source: Intel SDM volume 2, the pages of the instructions; appendix B for conditions.
 */
#include <x86/emulate.h>

#define FLAG_CF 0x0001UL
#define FLAG_PF 0x0004UL
#define FLAG_ZF 0x0040UL
#define FLAG_SF 0x0080UL
#define FLAG_TF 0x0100UL
#define FLAG_OF 0x0800UL
#define FLAG_RF 0x10000UL
#define FLAG_VM 0x20000UL
/* What popf may change in user mode: CF PF AF ZF SF DF OF NT AC ID. TF is the machine's. */
#define POPF_MASK 0x244cd5UL

enum loop_kind { LOOP_NOT_EQUAL, LOOP_EQUAL, LOOP_ALWAYS, LOOP_CX_ZERO };

bool insn_is_emulated(const struct text_insn *insn)
{
	return insn->class > INSN_STEP && insn->class < INSN_REFUSED;
}

bool insn_can_emulate(const struct text_insn *insn)
{
	switch (insn->class) {
	case INSN_PUSHF:
	case INSN_POPF:
		return insn->length == 1; /* longer: a prefix makes it 16 bits wide */
	case INSN_LOOP:
		return insn->length == 2; /* longer: a prefix makes it count in ecx */
	default:
		return insn_is_emulated(insn);
	}
}

bool condition_holds(u32 condition, u64 flags)
{
	bool sign_differs = !(flags & FLAG_SF) != !(flags & FLAG_OF);
	bool holds = false;

	switch (condition >> 1) {
	case 0: /* o */
		holds = flags & FLAG_OF;
		break;
	case 1: /* b */
		holds = flags & FLAG_CF;
		break;
	case 2: /* e */
		holds = flags & FLAG_ZF;
		break;
	case 3: /* be */
		holds = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4: /* s */
		holds = flags & FLAG_SF;
		break;
	case 5: /* p */
		holds = flags & FLAG_PF;
		break;
	case 6: /* l */
		holds = sign_differs;
		break;
	case 7: /* le */
		holds = sign_differs || (flags & FLAG_ZF);
		break;
	}
	return holds != (condition & 1);
}

void emulate_push(struct pt_regs *regs, u64 value)
{
	regs->sp -= sizeof(u64);
	*(u64 *)regs->sp = value;
}

u64 emulate_pop(struct pt_regs *regs)
{
	u64 value = *(u64 *)regs->sp;

	regs->sp += sizeof(u64);
	return value;
}

void override_function_with_return(struct pt_regs *regs, u64 value)
{
	regs->ax = value;
	regs->ip = emulate_pop(regs);
}

/* Register 0..15 in the order of the encoding: ax cx dx bx sp bp si di r8 ... r15. */
static u64 register_value(const struct pt_regs *regs, u32 number)
{
	const u64 value[16] = {
		regs->ax, regs->cx, regs->dx, regs->bx, regs->sp, regs->bp, regs->si, regs->di,
		regs->r8, regs->r9, regs->r10, regs->r11, regs->r12, regs->r13, regs->r14,
		regs->r15,
	};

	return value[number & 15];
}

static bool loop_is_taken(u32 kind, struct pt_regs *regs)
{
	if (kind == LOOP_CX_ZERO)
		return regs->cx == 0;
	regs->cx--;
	if (!regs->cx)
		return false;
	if (kind == LOOP_ALWAYS)
		return true;
	return !(regs->flags & FLAG_ZF) == (kind == LOOP_NOT_EQUAL);
}

void insn_emulate(const struct text_insn *insn, u64 addr, struct pt_regs *regs)
{
	u64 next = addr + insn->length, target = next + insn->target, flags;

	switch (insn->class) {
	case INSN_CALL_REL:
		emulate_push(regs, next);
		next = target;
		break;
	case INSN_JMP_REL:
		next = target;
		break;
	case INSN_JCC:
		if (condition_holds(insn->condition, regs->flags))
			next = target;
		break;
	case INSN_LOOP:
		if (loop_is_taken(insn->condition, regs))
			next = target;
		break;
	case INSN_CALL_REG:
		target = register_value(regs, insn->condition);
		emulate_push(regs, next);
		next = target;
		break;
	case INSN_JMP_REG:
		next = register_value(regs, insn->condition);
		break;
	case INSN_RET:
		next = emulate_pop(regs);
		regs->sp += insn->target;
		break;
	case INSN_PUSHF:
		emulate_push(regs, regs->flags & ~(FLAG_TF | FLAG_RF | FLAG_VM));
		break;
	case INSN_POPF:
		flags = emulate_pop(regs);
		regs->flags = (regs->flags & ~POPF_MASK) | (flags & POPF_MASK);
		break;
	}
	regs->ip = next;
}
