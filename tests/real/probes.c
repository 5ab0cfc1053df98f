// SPDX-License-Identifier: MIT
/* Callers of probed functions, and what wants a probe's handler written in C. */
#include <kernel/kprobes.h>
#include <kernel/kthread.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/text.h>
#include <kernel/text_poke.h>

/* One function, called until the machine stops. */
struct calling {
	u64 addr;
	u64 argument[2];
	u64 expected;
	u64 calls;            /* the task adds */
	u64 wrong;            /* results that were not expected; the task adds */
};

s64 keep_calling(void *argument)
{
	struct calling *calling = argument;

	while (!READ_ONCE(the_machine->stop)) {
		u64 result = text_call(calling->addr, calling->argument[0], calling->argument[1]);

		calling->wrong += result != calling->expected;
		WRITE_ONCE(calling->calls, calling->calls + 1);
		cond_resched();
	}
	return 0;
}

/* A handler that remembers the registers, and one that goes elsewhere. */
u64 seen_ip, seen_di, seen_si, seen_flags;
u64 go_to;                    /* text address; Python writes before */

static int remember(struct kprobe *p, struct pt_regs *regs)
{
	seen_ip = regs->ip;
	seen_di = regs->di;
	seen_si = regs->si;
	seen_flags = regs->flags;
	return 0;
}

static int redirect(struct kprobe *p, struct pt_regs *regs)
{
	regs->ip = go_to;
	return 1;
}

kprobe_pre_handler_t remember_handler = remember, redirect_handler = redirect;

/* Changes text that it does not own, as only a broken mechanism would. */
s64 write_text_byte(u64 addr, u64 byte)
{
	u8 value = byte;

	mutex_lock(&text_mutex);
	text_poke(addr, &value, 1);
	sync_each_cpu();
	mutex_unlock(&text_mutex);
	return 0;
}
