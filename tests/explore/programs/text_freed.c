// SPDX-License-Identifier: MIT
/*
 * Text is given back while somebody uses it: a module, or with -D SLOT an instruction slot.
 * -D WRITTEN: it is written, and not run.
 * -D WAITS: the task that gives it back waits until nobody uses it.
 */
#include <explore.h>
#include <kernel/insn_slot.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>

static u64 function, slot;
static u32 left;

INIT
{
	static const u8 ret = 0xc3;

	function = text_function_named("loadable_nop5")->addr;
#ifdef SLOT
	claim(!insn_slot_get(&slot));
	mutex_lock(&text_mutex);
	machine_text_insn(slot, &ret, 1);
	text_poke(slot, &ret, 1);
	sync_each_cpu();
	mutex_unlock(&text_mutex);
	function = slot;
#endif
}

TASK(0, owner)
{
#ifdef WAITS
	while (!smp_load_acquire(&left))
		machine_relax_while(&left, 0);
#endif
	if (slot)
		insn_slot_put(slot, false);
	else
		claim(!text_module_unload(text_module_at(function)));
}

TASK(1, user)
{
#ifdef WRITTEN
	static const u8 int3 = 0xcc;

	mutex_lock(&text_mutex);
	text_poke(function, &int3, 1);
	mutex_unlock(&text_mutex);
#else
	text_call(function, 5, 2);
#endif
	smp_store_release(&left, 1);
}
