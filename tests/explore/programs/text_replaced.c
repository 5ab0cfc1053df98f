// SPDX-License-Identifier: MIT
/*
 * One task replaces a nop of five bytes by a jump, another one comes by.
 * -D AT_ONCE: by nothing but a write. -D INSIDE: the jump goes into an instruction.
 */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/text_poke.h>
#include <outcome.h>

#ifdef INSIDE
#define TARGET 1              /* bytes behind the jump: inside of the next instruction */
#else
#define TARGET 3              /* behind the next instruction, a move */
#endif

static u64 function;

INIT
{
	function = text_function_named("nop5")->addr;
	claim(text_insn_at(function)->length == 5 && text_insn_at(function + 5)->length == 3);
}

TASK(0, writer)
{
	static const u8 jump[5] = { 0xe9, TARGET };

	cpus_read_lock();
	mutex_lock(&text_mutex);
#ifdef AT_ONCE
	machine_text_insn(function, jump, sizeof(jump));
	text_poke(function, jump, sizeof(jump));
#else
	text_poke_bp(function, jump, sizeof(jump), NULL);
#endif
	mutex_unlock(&text_mutex);
	cpus_read_unlock();
}

TASK(1, runner)
{
	u64 result = text_call(function, 5, 2);

	/* Rotated by 13, the sum, or what is added to nothing. */
	claim(result == 7 << 13 || result == 2 << 13, result);
	explore_outcome(result >> 13);
}

/* As it was loaded: nobody else has reason to change it. */
FINAL_CHECK
{
	for (u64 addr = function; addr < function + 5; addr++)
		*text_alias(addr) = *text_pristine(addr);
}
