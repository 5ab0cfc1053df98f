// SPDX-License-Identifier: MIT
/*
 * The copy of an instruction lies in a slot. It runs with the trap flag set;
 * or, boosted, with a jump back behind it and no trap at all.
 */
#include <error.h>
#include <kernel/insn_slot.h>
#include <kernel/text_poke.h>
#include <memory.h>
#include <x86/emulate.h>
#include <x86/insn.h>
#include <x86/singlestep.h>
#include <x86/traps.h>

static int fill_slot(struct kprobe *p, u64 slot)
{
	const struct text_insn *insn = &p->ainsn.insn;
	u8 bytes[INSN_SLOT_SIZE];
	int length;

	/* Whoever runs beyond the copy traps. */
	fill_bytes(bytes, INT3_INSN_OPCODE, sizeof(bytes));
	length = insn_copy(bytes, slot, p->addr, insn);
	if (length < 0)
		return length;
	if ((insn->flags & INSN_BOOSTABLE) && length + JMP32_INSN_SIZE <= INSN_SLOT_SIZE)
		p->ainsn.boostable = insn_write_jump(bytes + length, slot + length,
						     p->addr + length) > 0;
	machine_text_copy(slot, bytes, p->addr);
	if (p->ainsn.boostable)
		machine_text_insn(slot + length, bytes + length, JMP32_INSN_SIZE);
	text_poke(slot, bytes, sizeof(bytes));
	return 0;
}

int arch_prepare_kprobe(struct kprobe *p)
{
	const struct text_insn *insn = text_insn_at(p->addr);
	u64 slot = 0;
	int error;

	p->ainsn = (struct arch_specific_insn){ .insn = *insn };
	if (insn->class == INSN_NONE || !insn->length)
		return -EILSEQ;
	if (insn->class != INSN_STEP && !insn_can_emulate(insn))
		return -EOPNOTSUPP;
	if (compare_bytes(text_alias(p->addr), text_pristine(p->addr), insn->length))
		return -EILSEQ;
	p->opcode = *text_alias(p->addr);
	if (insn_is_emulated(insn))
		return 0;
	error = insn_slot_get(&slot);
	if (error)
		return error;
	error = fill_slot(p, slot);
	if (error)
		insn_slot_put(slot, false);
	else
		p->ainsn.slot = slot;
	return error;
}

void arch_remove_kprobe(struct kprobe *p)
{
	if (!p->ainsn.slot)
		return;
	/* Somebody may be in a boosted copy, interrupted: one more grace period for that slot. */
	insn_slot_put(p->ainsn.slot, p->ainsn.boostable);
	p->ainsn.slot = 0;
	p->ainsn.boostable = 0;
}

void singlestep_begin(const struct kprobe *p, struct pt_regs *regs)
{
	regs->flags |= X86_FLAGS_TF;
	regs->ip = p->ainsn.slot;
}

bool singlestep_is_at(const struct kprobe *p, const struct pt_regs *regs)
{
	return p->ainsn.slot && regs->ip - p->ainsn.slot <= p->ainsn.insn.length;
}

bool singlestep_end(const struct kprobe *p, struct pt_regs *regs, u64 flags_before)
{
	/* A string instruction traps after each repetition, standing on itself. */
	if (regs->ip == p->ainsn.slot) {
		regs->flags |= X86_FLAGS_TF;
		return false;
	}
	regs->flags = (regs->flags & ~X86_FLAGS_TF) | (flags_before & X86_FLAGS_TF);
	regs->ip = p->addr + (regs->ip - p->ainsn.slot);
	return true;
}
