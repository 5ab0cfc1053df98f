// SPDX-License-Identifier: MIT
/*
 * A task writes one byte of text, and then says so; another one runs it. The first instruction
 * was a push and is a return now. What it came to: 2 if the writer had said so, 1 if the
 * new text was run.
 * -D SYNC_CORE, -D BREAKPOINT, -D INTERRUPT: what comes in between makes it fetch anew.
 * -D ALL_SYNCED: the writer makes all CPUs fetch anew before it says so.
 */
#include <explore.h>
#include <kernel/kprobes.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>
#include <outcome.h>

static u32 written, interrupted;
static u64 function, trapping;

static int nothing(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe probe = { .symbol_name = "endbr64", .pre_handler = nothing };

INIT
{
	function = text_function_named("push_rbp")->addr;
	trapping = text_function_named("endbr64")->addr;
#ifdef BREAKPOINT
	claim(!register_kprobe(&probe));
#endif
}

#ifdef INTERRUPT
IRQ(1, 1, interrupt)
{
	if (READ_ONCE(written))
		WRITE_ONCE(interrupted, 1);
}
#endif

TASK(0, writer)
{
	static const u8 ret = 0xc3;

	mutex_lock(&text_mutex);
	machine_text_insn(function, &ret, 1);
	text_poke(function, &ret, 1);
#ifdef ALL_SYNCED
	sync_each_cpu();
#endif
	smp_store_release(&written, 1);
	mutex_unlock(&text_mutex);
}

TASK(1, runner)
{
	u32 said = smp_load_acquire(&written);

#if defined(SYNC_CORE)
	sync_core();
#elif defined(BREAKPOINT)
	text_call(trapping, 0, 0);
#elif defined(INTERRUPT)
	said &= READ_ONCE(interrupted);
#endif
	/* 5 + 3 * 2, or nothing that the function did. */
	explore_outcome(said * 2 + (text_call(function, 5, 2) != 11));
}

/* As it was loaded: nobody else has reason to change it. */
FINAL_CHECK { *text_alias(function) = *text_pristine(function); }
