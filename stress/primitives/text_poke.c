// SPDX-License-Identifier: MIT
/* Whoever runs an instruction while it is replaced does what the old or the new one does. */
#include <explore.h>
#include <finding.h>
#include <kernel/text_poke.h>

/* On two CPUs; -D CALLERS=1: on one, the same classes of schedules but once and not squared. */
#ifndef CALLERS
#define CALLERS 2
#endif

static u64 function, site;

/* A nop of five bytes, which becomes a jump over the addition behind it. */
static const u8 jump[5] = { 0xe9, 3, 0, 0, 0 };

INIT
{
	function = text_function_named("site_jump_forward")->addr;
	for (site = function; !(text_insn_at(site)->flags & INSN_PATCHABLE); site++)
		;
}

TASK(0, patcher)
{
	mutex_lock(&text_mutex);
	text_poke_bp(site, jump, sizeof(jump), NULL);
	mutex_unlock(&text_mutex);
}

static void call(void)
{
	u64 result = text_call(function, 5, 2);

	claim(result == 3 * (5 + 2) || result == 3 * 5, result);
}

TASK(1, caller)
{
	call();
}

#if CALLERS > 1
TASK(2, other_caller)
{
	call();
}
#endif
