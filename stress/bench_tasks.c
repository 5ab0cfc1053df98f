// SPDX-License-Identifier: MIT
/*
 * What testbed bench measures, each as a function that repeats one thing for a
 * while. Times are taken here: a request from Python costs more than most of it.
 */
#define _GNU_SOURCE
#include <kernel/kprobes.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>
#include <kernel/smp.h>
#include <kernel/stop_machine.h>
#include <kernel/text.h>

#include <signal.h>

/* What was done since bench_begin(). CPU 0 writes. */
struct bench_result {
	u64 count;
	u64 ns;
};

struct bench_result bench_result;
u64 bench_stop;               /* 1 = callers end; Python writes */
u64 bench_calls_made[MAX_CPUS][8]; /* by CPU, one cache line each; it adds */

static s64 done(u64 count, u64 start)
{
	bench_result.ns = machine_now() - start;
	bench_result.count = count;
	return 0;
}

/* @addr: any code of two numbers, in text or in the core itself. */
s64 bench_calls(u64 addr, u64 count)
{
	u64 (*function)(u64, u64) = (u64 (*)(u64, u64))addr;
	u64 start = machine_now();

	for (u64 n = 0; n < count; n++)
		function(n, 1);
	return done(count, start);
}

/* The others' load: a function of text, for ever. */
s64 bench_caller(void *addr)
{
	u64 (*function)(u64, u64) = (u64 (*)(u64, u64))addr;
	u64 *calls = &bench_calls_made[smp_processor_id()][0];

	while (!READ_ONCE(bench_stop)) {
		function(*calls, 1);
		WRITE_ONCE(*calls, *calls + 1);
		cond_resched();
	}
	return 0;
}

/* The least that a breakpoint can cost in a process: a handler that does nothing. */
static void do_nothing(int signal, siginfo_t *info, void *context)
{
}

/* With the flags and the mask of workers/real/trap.c. */
s64 bench_bare_trap(u64 count)
{
	struct sigaction bare = {
		.sa_sigaction = do_nothing, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	}, ours;
	u64 start;

	sigaddset(&bare.sa_mask, SIGUSR1);
	if (sigaction(SIGTRAP, &bare, &ours))
		return -1;
	start = machine_now();
	for (u64 n = 0; n < count; n++)
		__asm__ volatile("int3" : : : "memory");
	done(count, start);
	return sigaction(SIGTRAP, &ours, NULL);
}

static struct kprobe probe;

static int count_nothing(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static void post_nothing(struct kprobe *p, struct pt_regs *regs, u64 flags)
{
}

/* A post handler makes the copy of the instruction run by single-step. */
s64 bench_arm(u64 addr, u64 stepped)
{
	probe = (struct kprobe){
		.addr = addr, .pre_handler = count_nothing,
		.post_handler = stepped ? post_nothing : NULL,
	};
	return register_kprobe(&probe);
}

s64 bench_disarm(void)
{
	unregister_kprobe(&probe);
	return 0;
}

s64 bench_pairs(u64 addr, u64 ns)
{
	u64 start = machine_now(), count = 0;

	do {
		if (bench_arm(addr, 0))
			return -1;
		unregister_kprobe(&probe);
		count++;
	} while (machine_now() - start < ns);
	return done(count, start);
}

static void note_nothing(void *info)
{
}

s64 bench_cross_calls(u64 ns)
{
	u64 start = machine_now(), count = 0;

	do {
		on_each_cpu(note_nothing, NULL, true);
		count++;
	} while (machine_now() - start < ns);
	return done(count, start);
}

s64 bench_grace_periods(u64 ns)
{
	u64 start = machine_now(), count = 0;

	do {
		synchronize_rcu();
		count++;
	} while (machine_now() - start < ns);
	return done(count, start);
}

static int stop_for_nothing(void *data)
{
	return 0;
}

s64 bench_stops(u64 ns)
{
	u64 start = machine_now(), count = 0;

	do {
		if (stop_machine(stop_for_nothing, NULL, 0))
			return -1;
		count++;
	} while (machine_now() - start < ns);
	return done(count, start);
}

s64 bench_allocations(u64 size, u64 count)
{
	u64 start = machine_now();

	for (u64 n = 0; n < count; n++) {
		void *object = kmalloc(size, GFP_KERNEL);

		if (!object)
			return -1;
		kfree(object);
	}
	return done(count, start);
}

/* What the real kernel's uprobes are put on: a nop of one byte, and a push. */
__asm__(
	".text\n"
	".globl bench_uprobe_nop, bench_uprobe_push\n"
	".type bench_uprobe_nop, @function\n"
	"bench_uprobe_nop:\n"
	"	nop\n"
	"	ret\n"
	".size bench_uprobe_nop, . - bench_uprobe_nop\n"
	".type bench_uprobe_push, @function\n"
	"bench_uprobe_push:\n"
	"	pushq %rbp\n"
	"	popq %rbp\n"
	"	ret\n"
	".size bench_uprobe_push, . - bench_uprobe_push\n");
