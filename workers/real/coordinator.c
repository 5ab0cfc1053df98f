// SPDX-License-Identifier: MIT
/*
 * Supervision: the timer of all CPUs, the watchdog, deaths, and what Python is told.
 *
 * One byte to Python per change: b booted, f finished, z frozen with a finding,
 * l a CPU is lost, r a request is done. From Python: r look at the requests,
 * q end. A control pipe that closes means that Python is gone: end as well.
 */
#define _GNU_SOURCE
#include "real.h"

#include <jiffies.h>

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IDLE_TURN_US 2000     /* when no CPU wants a tick */
#define WATCHDOG_MS 100

struct supervisor {
	int control;
	int status;
	int children;         /* signalfd */
	u32 told_state;       /* the last state that Python was told */
	bool ended;
	bool standing;        /* frozen or lost: no more ticks */
	u64 next_watch;       /* ns */
	u64 next_tick;        /* ns */
};

static void tell(struct supervisor *s, char what)
{
	while (write(s->status, &what, 1) < 0 && errno == EINTR)
		;
}

static void stand(struct supervisor *s, enum machine_state state, char what)
{
	if (s->standing)
		return;
	s->standing = true;
	freeze_cpus();
	WRITE_ONCE(the_machine->state, state);
	s->told_state = state;
	tell(s, what);
}

static bool any_finding(void)
{
	u32 made = READ_ONCE(the_machine->nr_findings);

	for (u32 n = 0; n < made && n < MAX_FINDINGS; n++) {
		if (smp_load_acquire(&the_machine->finding[n].kind))
			return true;
	}
	return false;
}

static void hear_cpus(struct supervisor *s)
{
	u64 count;
	u32 state;

	if (read(notify_fd, &count, sizeof(count)) < 0)
		return;
	if (any_finding()) {
		stand(s, MACHINE_FROZEN, 'z');
		return;
	}
	state = READ_ONCE(the_machine->state);
	if (state != s->told_state && !s->standing) {
		s->told_state = state;
		if (state == MACHINE_RUNNING)
			tell(s, 'b');
		if (state == MACHINE_FINISHED)
			tell(s, 'f');
	}
	for (u32 n = 0; n < MAX_REQUESTS; n++) {
		if (READ_ONCE(the_machine->request[n].state) == REQUEST_DONE) {
			tell(s, 'r');
			break;
		}
	}
}

static void hear_python(struct supervisor *s)
{
	char what;
	ssize_t got = read(s->control, &what, 1);

	if (got == 0 || (got == 1 && what == 'q'))
		s->ended = true;
	else if (got == 1 && what == 'r' && !s->standing)
		machine_raise_irq(0, IRQ_REQUEST);
}

static void hear_children(struct supervisor *s)
{
	struct signalfd_siginfo info;
	siginfo_t child = { 0 };

	if (read(s->children, &info, sizeof(info)) < 0)
		return;
	while (!waitid(P_ALL, 0, &child, WEXITED | WSTOPPED | WNOHANG) && child.si_pid) {
		for (u32 n = 0; n < the_machine->config.cpus; n++) {
			if (cpu_at(n)->pid != child.si_pid)
				continue;
			report_lost_cpu(n, child.si_code << 16 | child.si_status);
			stand(s, MACHINE_LOST, 'l');
		}
		child.si_pid = 0;
	}
}

/* Interrupt the CPUs where a task waits for its turn, or a report is owed. */
static bool tick_cpus(void)
{
	bool any = machine_is_oversubscribed();

	if (any)
		cores_rotate();
	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		struct cpu *cpu = cpu_at(n);
		bool wants = the_machine->config.tick_us && READ_ONCE(cpu->nr_running) > 1;

		if (!READ_ONCE(cpu->online))
			continue;
		/* Without a core no time passes: a task would lose a turn that it never had. */
		if (machine_is_oversubscribed() && READ_ONCE(cpu->core) == CORE_WANTED)
			continue;
		if (!wants && !(READ_ONCE(cpu->preempt_work) & ~PREEMPT_WORK_SRCU))
			continue;
		machine_raise_irq(n, IRQ_TICK);
		any = true;
	}
	return any;
}

/* Interrupt the CPUs whose moment has come; returns that of the next, ns, 0 = none. */
static u64 interrupt_by_timers(void)
{
	u64 now = machine_jiffies(), next = 0;

	for (u32 n = 0; n < the_machine->config.cpus; n++) {
		struct cpu *cpu = cpu_at(n);
		u64 when = READ_ONCE(cpu->timer);

		if (when && when <= now && cmpxchg(&cpu->timer, when, 0) == when)
			machine_raise_irq(n, IRQ_TIMER);
		else if (when && (!next || when < next))
			next = when;
	}
	return next * NSEC_PER_JIFFY;
}

static void turn(struct supervisor *s)
{
	u64 now = machine_now();

	WRITE_ONCE(the_machine->heartbeat, the_machine->heartbeat + 1);
	if (s->standing || now < s->next_watch)
		return;
	s->next_watch = now + WATCHDOG_MS * 1000000UL;
	if (watchdog_turn(WATCHDOG_MS))
		stand(s, MACHINE_FROZEN, 'z');
}

static int open_children(struct supervisor *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	s->children = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->children < 0 ? -errno : 0;
}

/* Let time pass for CPUs: devices when they are due, and ticks; returns when to look again, ns. */
static u64 interrupt_cpus(struct supervisor *s, u64 now)
{
	u32 tick_us = the_machine->config.tick_us ?: IDLE_TURN_US;
	u64 next, device, timer;

	if (s->standing)
		return now + 100000000UL;
	if (now >= s->next_tick)
		s->next_tick = now + (tick_cpus() ? tick_us : IDLE_TURN_US) * 1000UL;
	next = s->next_tick;
	device = devices_turn(now);
	timer = interrupt_by_timers();
	if (device && device < next)
		next = device;
	return timer && timer < next ? timer : next;
}

int supervise(int control_fd, int status_fd)
{
	struct supervisor s = { .control = control_fd, .status = status_fd };
	u64 next = 0;
	int error = open_children(&s);

	if (error)
		return error;
	s.told_state = MACHINE_BOOTING;
	while (!s.ended) {
		struct pollfd fds[] = {
			{ .fd = s.control, .events = POLLIN },
			{ .fd = notify_fd, .events = POLLIN },
			{ .fd = s.children, .events = POLLIN },
		};
		u64 now = machine_now();
		struct timespec patience = { .tv_nsec = next > now ? next - now : 0 };
		int ready = ppoll(fds, ARRAY_SIZE(fds), &patience, NULL);

		if (ready == 0)
			next = interrupt_cpus(&s, machine_now());
		if (fds[1].revents && ready > 0)
			hear_cpus(&s);
		if (fds[2].revents && ready > 0)
			hear_children(&s);
		if (fds[0].revents && ready > 0)
			hear_python(&s);
		turn(&s);
	}
	return 0;
}
