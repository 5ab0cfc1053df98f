// SPDX-License-Identifier: MIT
/*
 * An explorer process: maps what Python laid out, makes the snapshot that every
 * run begins from, and then does one job after the other until the control pipe
 * is closed.
 *
 * Usage: core ARENA_MEMFD EXPLORE_MEMFD CONTROL_FD STATUS_FD
 * ARENA_MEMFD is -1 for a program with pthreads.
 */
#define _GNU_SOURCE
#include "jobs/job.h"

#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define LOOK_UP_US 100000
#define EXIT_ENDLESS 4        /* what comes before the tasks did not end */
#define EXIT_LOCALS 5         /* tasks have no thread-local variables */
#define EXIT_NOTHING 6        /* neither a program nor tasks */
#define EXIT_RANGE 7          /* too many CPUs, tasks or interrupts */

const struct program *program;

extern int explored_main(int argc, char **argv) __attribute__((weak));
extern const struct program kernel_program __attribute__((weak));
/* crash.c: a signal in explored code becomes a finding. */
void crash_init(void);

static int map_at(u64 base, int memfd, u64 size, int flags)
{
	void *at = mmap((void *)base, size, PROT_READ | PROT_WRITE,
			flags | MAP_FIXED_NOREPLACE, memfd, 0);

	return at == (void *)base ? 0 : -ENOMEM;
}

static int map_everything(int arena_memfd, int explore_memfd)
{
	struct stat arena;
	int error = map_at(EXPLORE_BASE, explore_memfd, sizeof(struct explore), MAP_SHARED);

	if (error)
		return error;
	if (the_explore->magic != EXPLORE_MAGIC)
		return -EINVAL;
	if (arena_memfd < 0)
		return 0;
	if (fstat(arena_memfd, &arena))
		return -errno;
	/* Private: other explorers begin from the same bytes. */
	return map_at(ARENA_BASE, arena_memfd, arena.st_size, MAP_PRIVATE);
}

/* The first byte of this executable that is ever written. */
static u64 first_writable(void)
{
	const ElfW(Phdr) *header = (void *)getauxval(AT_PHDR);
	u64 count = getauxval(AT_PHNUM), start = ~0UL, relro = 0;

	for (u64 n = 0; n < count; n++) {
		if (header[n].p_type == PT_LOAD && header[n].p_flags & PF_W &&
		    header[n].p_vaddr < start)
			start = header[n].p_vaddr;
		/* Written while the dynamic linker works, and never again. */
		if (header[n].p_type == PT_GNU_RELRO)
			relro = header[n].p_vaddr + header[n].p_memsz;
	}
	return relro > start ? relro : start;
}

/* Python has gone, or wants this process to go: at once, whatever is being explored. */
static void look_up(int signal)
{
	static u64 last;
	struct pollfd control = { .fd = control_fd, .events = POLLIN };
	int error = errno;
	u64 now = engine.total_steps + engine.steps;

	if (poll(&control, 1, 0) > 0 && control.revents & POLLHUP && !(control.revents & POLLIN))
		_exit(0);
	if (now != last)
		the_explore->heartbeat++;
	last = now;
	errno = error;
}

static void look_up_now_and_then(void)
{
	struct itimerval every = {
		.it_interval = { .tv_usec = LOOK_UP_US },
		.it_value = { .tv_usec = LOOK_UP_US },
	};
	struct sigaction action = {
		.sa_handler = look_up,
		.sa_flags = SA_RESTART | SA_ONSTACK,
	};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static int do_jobs(void)
{
	char byte;

	while (read(control_fd, &byte, 1) == 1) {
		the_explore->result.state = do_job() ? 1 : 2;
		byte = 'd';
		if (write(status_fd, &byte, 1) != 1)
			return 3;
	}
	return 0;
}

static int exit_status(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return EXIT_ENDLESS;
	case -EOPNOTSUPP:
		return EXIT_LOCALS;
	case -ENOENT:
		return EXIT_NOTHING;
	case -ERANGE:
		return EXIT_RANGE;
	}
	return 3;
}

int main(int argc, char **argv)
{
	sigset_t mask;
	int error;

	if (argc != 5)
		return 2;
	setsid();
	prctl(PR_SET_NAME, "testbed/explore");
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	control_fd = atoi(argv[3]);
	status_fd = atoi(argv[4]);
	if (map_everything(atoi(argv[1]), atoi(argv[2])))
		return 3;
	engine.rodata_end = first_writable();
	engine.max_steps = ~0u;
	crash_init();
	look_up_now_and_then();
	program = explored_main ? &pthread_program : &kernel_program;
	error = program->prepare();
	if (error)
		return exit_status(error);
	return do_jobs();
}
