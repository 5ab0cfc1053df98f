// SPDX-License-Identifier: MIT
/*
 * An instruction of text cannot be done: it stores to address 0.
 * -D UNKNOWN: it is one that does not exist. -D OUTSIDE: there is no text.
 */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>

static u64 function;

static noinline void call_text(u64 addr)
{
	text_call(addr, 0, 1);
}

INIT
{
	function = text_function_named("store_word")->addr;
#ifdef OUTSIDE
	function = TEXT_BASE + the_machine->text.size + 64;
#endif
}

TASK(0, runner)
{
#ifdef UNKNOWN
	static const u8 ud2[] = { 0x0f, 0x0b, 0x90 };

	mutex_lock(&text_mutex);
	machine_text_copy(function, ud2, function);
	text_poke(function, ud2, sizeof(ud2));
	sync_each_cpu();
	mutex_unlock(&text_mutex);
#endif
	call_text(function);
}
