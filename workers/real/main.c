// SPDX-License-Identifier: MIT
/*
 * The coordinator of a machine: maps the memory that Python laid out, forks the
 * CPUs, supervises them, and ends with them. It never runs a mechanism.
 *
 * Usage: core MEMFD CONTROL_FD STATUS_FD
 */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <kernel/init.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define MDWE_REFUSE_EXEC_GAIN 1

#define BOOT_PATIENCE_MS 20000

static int fail(enum boot_step step, int error)
{
	the_machine->boot_step = step;
	the_machine->boot_error = error;
	return error;
}

static int map_everything(int memfd)
{
	int error = map_machine(memfd);

	if (error)
		return error;
	error = map_text(memfd);
	if (error)
		return fail(BOOT_TEXT, error);
	error = share_globals(memfd);
	if (error)
		return fail(BOOT_GLOBALS, error);
	/* Kernels before 6.3 do not know it; nothing else depends on it. */
	prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	return 0;
}

static int install_handlers(void)
{
	int error = install_irq_handler();

	if (!error)
		error = install_nmi_handler();
	if (!error)
		error = install_trap_handlers();
	return error ? error : install_freeze_handler();
}

static int fork_cpus(void)
{
	the_machine->coordinator = getpid();
	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid)
			cpu_main(n);
		cpu_at(n)->pid = pid;
	}
	return 0;
}

static int wait_until_online(void)
{
	for (int ms = 0; ms < BOOT_PATIENCE_MS; ms += 100) {
		u32 online = smp_load_acquire(&the_machine->online);

		if (online == the_machine->config.cpus)
			return 0;
		futex_wait(&the_machine->online, online, 100000000);
		if (waitpid(-1, NULL, WNOHANG) > 0)
			return -ECHILD;
	}
	return -ETIMEDOUT;
}

static void end_cpus(void)
{
	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		if (cpu_at(n)->pid > 0)
			kill(cpu_at(n)->pid, SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	sigset_t mask;
	int error;

	if (argc != 4)
		return 2;
	setsid();
	prctl(PR_SET_NAME, "testbed/coord");
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIG_IRQ);
	sigaddset(&mask, SIG_FREEZE);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	error = map_everything(atoi(argv[1]));
	if (error)
		return 3;
	notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = install_handlers();
	if (error)
		return fail(BOOT_SIGNALS, error), 3;
	the_machine->state = MACHINE_BOOTING;
	kernel_early_init();
	error = fork_cpus();
	if (error)
		fail(BOOT_FORK, error);
	else if ((error = wait_until_online()))
		fail(BOOT_ONLINE, error);
	else
		error = supervise(atoi(argv[2]), atoi(argv[3]));
	end_cpus();
	return error ? 3 : 0;
}
