// SPDX-License-Identifier: MIT
/*
 * Time: it passes when nothing else happens. A thread that sleeps or yields goes
 * on when another has changed something, or when nobody else can go on.
 */
#include "programs/pthread_program.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#define PC ((u64)__builtin_return_address(0))

/* So often time alone may help; a loop that still waits then waits for ever. */
#define MAX_FUTILE 16

static struct {
	u32 commits;          /* when time last passed */
	u32 futile;           /* times in a row that nothing was changed */
} waited;

void time_begin(void)
{
	waited.commits = waited.futile = 0;
}

bool time_passes(void)
{
	bool any = false;

	if (waited.commits != engine.commits)
		waited.futile = 0;
	waited.commits = engine.commits;
	if (waited.futile++ == MAX_FUTILE)
		return false;
	for (u64 left = engine.blocked; left; left &= left - 1) {
		struct vcpu *cpu = &engine.vcpu[__builtin_ctzl(left)];

		if (cpu->pending.kind != EVENT_KIND_RELAX)
			continue;
		cpu->relax_seen = ~(engine.commits - cpu->commits);
		any = true;
	}
	return any;
}

/* What others change from now on is news: the caller looks at it all after this. */
static void rest(u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	engine_point(EVENT_KIND_RELAX, 0, 0, pc);
	cpu->relax_seen = engine.commits - cpu->commits;
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_RELAX, 0, 0, 0, pc);
}

int __wrap_sched_yield(void);
int __wrap_usleep(useconds_t us);
unsigned int __wrap_sleep(unsigned int seconds);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_sched_yield(void)
{
	rest(PC);
	return 0;
}

int __wrap_usleep(useconds_t us)
{
	rest(PC);
	return 0;
}

unsigned int __wrap_sleep(unsigned int seconds)
{
	rest(PC);
	return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	rest(PC);
	return 0;
}
