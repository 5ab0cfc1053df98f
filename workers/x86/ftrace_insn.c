// SPDX-License-Identifier: MIT
/*
 * A trampoline is a copy of ftrace_caller, instruction by instruction: the word that it loads
 * is its own, and so is the call. C is out of reach of a call, so text jumps there by an entry.
 */
#include <kernel/text_poke.h>
#include <memory.h>
#include <x86/ftrace_insn.h>
#include <x86/insn.h>

/* The text that is copied. Set once, then constant. */
static struct {
	u64 caller;           /* where it starts; 0 = not found yet */
	u32 size;             /* bytes */
	u32 load;             /* of the word: bytes from the start */
	u32 call;
	u64 jump;             /* a jump to C */
} template;

/* The address that the instruction at @addr refers to, relative to its end. */
static u64 operand_of(u64 addr)
{
	const struct text_insn *insn = text_insn_at(addr);
	s32 displacement;

	copy_bytes(&displacement, text_pristine(addr + insn->target), sizeof(displacement));
	return addr + insn->length + displacement;
}

static void find_parts(const struct text_function *caller)
{
	for (u32 at = 0; at < caller->size; at += text_insn_at(caller->addr + at)->length) {
		const struct text_insn *insn = text_insn_at(caller->addr + at);

		if (insn->class == INSN_CALL_REL)
			template.call = at;
		else if (insn->flags & INSN_RIP_RELATIVE)
			template.load = at;
	}
	template.size = caller->size;
}

bool ftrace_insn_init(void)
{
	const struct text_function *caller = text_function_named("ftrace_caller");
	const struct text_function *jump = text_function_named("ftrace_jump");

	if (!caller || !jump || caller->size > FTRACE_TRAMPOLINE_OPS)
		return false;
	find_parts(caller);
	template.jump = jump->addr;
	template.caller = caller->addr;
	return true;
}

u64 ftrace_insn_call(void)
{
	return template.caller + template.call;
}

u64 ftrace_insn_op(void)
{
	return operand_of(template.caller + template.load);
}

void ftrace_insn_site(u8 bytes[MCOUNT_INSN_SIZE], u64 ip, u64 target)
{
	static const u8 nop5[MCOUNT_INSN_SIZE] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	s32 displacement = target - (ip + MCOUNT_INSN_SIZE);

	if (!target) {
		copy_bytes(bytes, nop5, sizeof(nop5));
		return;
	}
	bytes[0] = CALL_INSN_OPCODE;
	copy_bytes(bytes + 1, &displacement, sizeof(displacement));
}

/* @bytes of an instruction that stands at @at refer to @target from now on. */
static void set_operand(u8 *bytes, u64 at, const struct text_insn *insn, u64 target)
{
	s32 displacement = target - (at + insn->length);

	copy_bytes(bytes + insn->target, &displacement, sizeof(displacement));
}

/* A copy for @at of the @size bytes at @start, which calls @target and loads the word at @word. */
static void copy_text(u8 *bytes, u64 at, u64 start, u32 size, u64 target, u64 word)
{
	for (u32 n = 0; n < size; n += text_insn_at(start + n)->length) {
		const struct text_insn *insn = text_insn_at(start + n);

		copy_bytes(bytes + n, text_pristine(start + n), insn->length);
		if (insn->class == INSN_CALL_REL) {
			ftrace_insn_site(bytes + n, at + n, target);
			machine_text_insn(at + n, bytes + n, insn->length);
			continue;
		}
		if (insn->flags & INSN_RIP_RELATIVE)
			set_operand(bytes + n, at + n, insn, word);
		machine_text_copy(at + n, bytes + n, start + n);
	}
}

void ftrace_insn_trampoline(u64 at, const struct ftrace_ops *ops, u64 target)
{
	u8 bytes[FTRACE_TRAMPOLINE_ENTRY];

	/* Whoever runs beyond the copy traps. */
	fill_bytes(bytes, INT3_INSN_OPCODE, sizeof(bytes));
	copy_text(bytes, at, template.caller, template.size, target, at + FTRACE_TRAMPOLINE_OPS);
	copy_bytes(bytes + FTRACE_TRAMPOLINE_OPS, &ops, sizeof(ops));
	text_poke(at, bytes, sizeof(bytes));
}

void ftrace_insn_rethook(u64 at, u64 target)
{
	const struct text_function *function = text_function_named("rethook_trampoline");
	u8 bytes[FTRACE_TRAMPOLINE_SIZE];

	copy_text(bytes, at, function->addr, function->size, target, 0);
	text_poke(at, bytes, function->size);
}

void ftrace_insn_entry(u64 at, u64 word_at, const void *func)
{
	const struct text_insn *insn = text_insn_at(template.jump);
	u8 bytes[8];

	machine_text_calls((u64)func);
	fill_bytes(bytes, INT3_INSN_OPCODE, sizeof(bytes));
	copy_bytes(bytes, text_pristine(template.jump), insn->length);
	set_operand(bytes, at, insn, word_at);
	machine_text_copy(at, bytes, template.jump);
	text_poke(word_at, &func, sizeof(func));
	text_poke(at, bytes, sizeof(bytes));
}
