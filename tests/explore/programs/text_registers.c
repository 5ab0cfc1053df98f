// SPDX-License-Identifier: MIT
/*
 * All that handlers of probes see of registers while a text function runs, in one number: it
 * must not matter which machine runs it. What depends on the caller, or on where its stack is,
 * is left out; a pointer into the stack is its distance from the stack pointer.
 */
#include <error.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kprobes.h>
#include <kernel/text_poke.h>
#include <outcome.h>
#include <shm_layout/explore.h>
#include <x86/insn.h>

#define FLAGS_SEEN 0xcd5UL    /* CF PF AF ZF SF DF OF */
#define NEAR 4096UL           /* bytes from the stack pointer: a pointer into the stack */
#define CASE_FUNCTION(number) ((number) & 0xff)
#define CASE_NUMBERS(number) ((number) >> 8)

void explore_outcome(u64 value) __attribute__((weak));
s64 text_registers(void *number);

static u64 hash, function_start;

static void add(u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15UL;
	hash ^= hash >> 29;
}

static void add_register(const struct pt_regs *regs, u64 value)
{
	u64 distance = value - regs->sp;

	add(distance + NEAR < 2 * NEAR ? distance : value);
}

static void add_registers(const struct pt_regs *regs)
{
	const u64 seen[] = { regs->ax, regs->cx, regs->dx, regs->si, regs->di, regs->r8, regs->r9,
			     regs->r10, regs->r11 };

	for (u32 n = 0; n < ARRAY_SIZE(seen); n++)
		add_register(regs, seen[n]);
	add(regs->flags & FLAGS_SEEN);
	add(is_text(regs->ip) ? regs->ip - function_start : 0);
}

static int before(struct kprobe *p, struct pt_regs *regs)
{
	add_registers(regs);
	return 0;
}

static void after(struct kprobe *p, struct pt_regs *regs, u64 flags)
{
	add_registers(regs);
}

/* The registers that a call may change are 0, the flags too, and the stack is aligned. */
u64 call_from_zero(u64 function, u64 a, u64 b);
__asm__(
	".text\n"
	".globl call_from_zero\n"
	"call_from_zero:\n\t"
	"pushq %rbp\n\tmovq %rsp, %rbp\n\tpushq %rdi\n\tpushq %rdi\n\t"
	"andq $-256, %rsp\n\t"
	"movq %rsi, %rdi\n\tmovq %rdx, %rsi\n\t"
	"xorl %eax, %eax\n\txorl %ecx, %ecx\n\txorl %edx, %edx\n\t"
	"xorl %r8d, %r8d\n\txorl %r9d, %r9d\n\txorl %r10d, %r10d\n\txorl %r11d, %r11d\n\t"
	"pushq $0x202\n\tpopfq\n\t"
	"callq *-8(%rbp)\n\t"
	"leave\n\tret\n");

static void run(u64 function, const u64 arguments[2])
{
	add(MACHINE_MODELS_FETCH ? text_call(function, arguments[0], arguments[1]) :
	    call_from_zero(function, arguments[0], arguments[1]));
}

/* Probe what stands at @addr, if it can be. */
static void run_probed(u64 function, u64 addr, const u64 arguments[2], bool stepped)
{
	struct kprobe probe = { .addr = addr, .pre_handler = before };
	int error;

	if (stepped)
		probe.post_handler = after;
	error = register_kprobe(&probe);
	add(error);
	if (error)
		return;
	run(function, arguments);
	unregister_kprobe(&probe);
}

static void run_each(const struct text_function *function, const u64 arguments[2], bool stepped)
{
	for (u64 addr = function->addr; addr < function->addr + function->size; addr++) {
		if (text_insn_at(addr)->length)
			run_probed(function->addr, addr, arguments, stepped);
	}
}

static void poke(u64 addr, const u8 *bytes)
{
	cpus_read_lock();
	mutex_lock(&text_mutex);
	text_poke_bp(addr, bytes, 5, NULL);
	mutex_unlock(&text_mutex);
	cpus_read_unlock();
}

/* A call of a function that only computes, and a jump to what stands behind anyway. */
static void run_patched(const struct text_function *function, u64 site, const u64 arguments[2])
{
	static const u8 nop[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 }, jump[5] = { 0xe9 };
	s32 distance = text_function_named("helper_sum")->addr - (site + 5);
	u8 call[5] = { 0xe8 };

	for (u32 n = 0; n < 4; n++)
		call[1 + n] = (u32)distance >> (8 * n);
	poke(site, call);
	run_each(function, arguments, false);
	poke(site, jump);
	run_each(function, arguments, true);
	poke(site, nop);
	run(function->addr, arguments);
}

static void run_all(const struct text_function *function, const u64 arguments[2])
{
	function_start = function->addr;
	run(function->addr, arguments);
	run_each(function, arguments, false);
	run_each(function, arguments, true);
	for (u64 addr = function->addr; addr < function->addr + function->size; addr++) {
		const struct text_insn *insn = text_insn_at(addr);

		if (insn->flags & INSN_PATCHABLE && insn->length == 5)
			run_patched(function, addr, arguments);
	}
}

/* Numbers of many sizes, now and then equal ones. */
static u64 number_from(u64 from, u32 which)
{
	u64 mixed = (from + which * (from & 7)) * 0x9e3779b97f4a7c15UL;

	return (mixed ^ mixed >> 31) >> (from >> (3 + 6 * which) & 63);
}

s64 text_registers(void *number)
{
	/* One process explores many cases. */
	u64 given = explore_outcome ? the_explore->job.seed : (u64)number;
	const struct text_function *functions =
		(const void *)(ARENA_BASE + the_machine->region[REGION_FUNCTIONS].offset);
	const struct text_function *function = &functions[CASE_FUNCTION(given)];
	u64 arguments[2];

	for (u32 n = 0; n < 2; n++)
		arguments[n] = number_from(CASE_NUMBERS(given), n);
	hash = 0;
	if (CASE_FUNCTION(given) < the_machine->text.nr_functions &&
	    function->flags & FUNCTION_ASSEMBLED)
		run_all(function, arguments);
	if (explore_outcome)
		explore_outcome(hash);
	return explore_outcome ? 0 : (s64)hash;
}
