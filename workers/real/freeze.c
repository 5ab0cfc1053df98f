// SPDX-License-Identifier: MIT
/* After a finding every CPU writes down where it is, and stands still. */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <finding.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TURNS 100      /* of 2 ms each: then a CPU counts as not answering */

int notify_fd = -1;

void machine_notify(void)
{
	u64 one = 1;
	int saved = errno;

	if (write(notify_fd, &one, sizeof(one)) < 0)
		errno = saved; /* Full: the coordinator has been told already. */
}

static void stand_still(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (;;)
		pause();
}

static void fill_frozen(struct cpu *cpu, const struct pt_regs *regs)
{
	struct side side = { 0 };

	if (READ_ONCE(cpu->frozen.valid))
		return;
	if (regs) {
		cpu->frozen.regs = *regs;
		record_side_at(&side, regs);
	} else {
		record_side(&side);
	}
	cpu->frozen.task = side.task;
	for (u32 n = 0; n < STACK_FRAMES; n++)
		cpu->frozen.stack[n] = side.stack[n];
	smp_store_release(&cpu->frozen.valid, 1);
}

void machine_freeze(void)
{
	fill_frozen(this_cpu(), NULL);
	machine_notify();
	stand_still();
	__builtin_unreachable();
}

static void freeze_signal(int signal, siginfo_t *info, void *context)
{
	struct cpu *cpu = this_cpu();
	struct pt_regs regs;

	if (cpu && machine_self && cpu->owner_tid == machine_self->tid) {
		regs_from_context(&regs, context);
		fill_frozen(cpu, &regs);
	}
	stand_still();
}

int install_freeze_handler(void)
{
	struct sigaction action = { .sa_sigaction = freeze_signal, .sa_flags = SA_SIGINFO };

	sigfillset(&action.sa_mask);
	return sigaction(SIG_FREEZE, &action, NULL) ? -errno : 0;
}

/* By the coordinator: the thread that is the CPU answers, wherever it is. */
void freeze_cpus(void)
{
	struct timespec turn = { .tv_nsec = 2000000 };
	u32 cpus = the_machine->config.cpus;

	for (u32 n = 0; n < cpus; n++)
		syscall(SYS_tgkill, cpu_at(n)->pid, cpu_at(n)->owner_tid, SIG_FREEZE);
	for (int turns = 0; turns < ANSWER_TURNS; turns++) {
		u32 answered = 0;

		for (u32 n = 0; n < cpus; n++)
			answered += READ_ONCE(cpu_at(n)->frozen.valid) || cpu_at(n)->lost;
		if (answered == cpus)
			return;
		nanosleep(&turn, NULL);
	}
}
