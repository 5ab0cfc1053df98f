// SPDX-License-Identifier: MIT
/* Text is replaced while a CPU is down, or comes up: it runs the new one, or the old one whole. */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/text_poke.h>

static u64 function, site;
static u64 replaced;

/* A nop of five bytes, which becomes a jump over the addition behind it. */
static const u8 jump[5] = { 0xe9, 3, 0, 0, 0 };

static void call(void)
{
	u64 new = smp_load_acquire(&replaced);
	u64 result = text_call(function, 5, 2);

	claim(result == 3 * 5 || (result == 3 * (5 + 2) && !new), result, new);
}

/* The first that runs there when the CPU is up. */
static int call_when_up(unsigned int cpu)
{
	call();
	return 0;
}

INIT
{
	function = text_function_named("site_jump_forward")->addr;
	for (site = function; !(text_insn_at(site)->flags & INSN_PATCHABLE); site++)
		;
	claim(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "call", call_when_up, NULL) > 0, 0);
	claim(cpu_down(1) == 0, 0);
}

TASK(0, hotplug)
{
	claim(cpu_up(1) == 0, 0);
}

TASK(2, patcher)
{
	mutex_lock(&text_mutex);
	text_poke_bp(site, jump, sizeof(jump), NULL);
	mutex_unlock(&text_mutex);
	smp_store_release(&replaced, 1);
}

EXPLORE_CPUS(3);
