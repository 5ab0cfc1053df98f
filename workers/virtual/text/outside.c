// SPDX-License-Identifier: MIT
/*
 * Where text leaves itself: C functions that it calls, and words of text that it reads while
 * others may write them.
 */
#include "text/text.h"

#include "hooks.h"

#include <x86/emulate.h>

#define MAX_CALLEES 256
#define CLOBBERED 0xc10bbe4edUL /* by a call, which may leave anything */

/* C functions that text may enter. They are known from the first time on, in every run. */
static u64 callees[MAX_CALLEES];
static u32 nr_callees;

void machine_text_calls(u64 function)
{
	if (!text_calls(function) && nr_callees < MAX_CALLEES)
		callees[nr_callees++] = function;
}

bool text_calls(u64 function)
{
	for (u32 n = 0; n < nr_callees; n++) {
		if (callees[n] == function)
			return true;
	}
	return false;
}

/* Interrupts, and other tasks, come into the function as into all C. */
void text_call_out(struct pt_regs *regs)
{
	u64 (*function)(u64, u64, u64, u64) = (void *)regs->ip;
	struct vcpu *cpu = engine.cpu;

	regs->ax = function(regs->di, regs->si, regs->dx, regs->cx);
	regs->cx = regs->dx = regs->si = regs->di = CLOBBERED;
	regs->r8 = regs->r9 = regs->r10 = regs->r11 = CLOBBERED;
	engine.cpu = NULL;
	regs->ip = emulate_pop(regs);
	engine.cpu = cpu;
}

u64 text_read_word(u64 addr, u64 pc)
{
	const u64 *word = (const u64 *)addr;

	if (addr - TEXT_BASE < engine.text_size && text_is_patched(addr, sizeof(*word))) {
		word = (const u64 *)text_alias(addr);
		hook_load_range((u64)word, sizeof(*word), ORDER_RELAXED, pc);
	}
	return *word;
}

/* The number of the register that "mov reg, [rip + displacement]" loads 64 bits into, or -1. */
static int loaded_register(const u8 *bytes)
{
	if ((bytes[0] & 0xfb) != 0x48 || bytes[1] != 0x8b || (bytes[2] & 0xc7) != 0x05)
		return -1;
	return (bytes[2] >> 3 & 7) | (bytes[0] & 4) << 1;
}

bool text_load_relative(struct pt_regs *regs, const u8 *bytes, const struct text_insn *insn)
{
	int number = loaded_register(bytes);
	s32 displacement;

	if (number < 0)
		return false;
	__builtin_memcpy(&displacement, bytes + insn->target, sizeof(displacement));
	*text_register(regs, number) = text_read_word(regs->ip + insn->length + displacement,
						      regs->ip);
	regs->ip += insn->length;
	return true;
}
