// SPDX-License-Identifier: MIT
/*
 * Interrupts by signal. One signal says "look": what is pending is in shared
 * memory. It is sent to the thread that is the CPU when the sender looks; if the
 * CPU has switched threads since, the new one finds the pending bit by itself
 * when it turns interrupts on, and the late signal finds nothing to do.
 */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <irqflags.h>
#include <jiffies.h>
#include <kernel/ftrace_trampoline.h>
#include <kernel/irq.h>
#include <kernel/text.h>
#include <sys/syscall.h>
#include <trace.h>
#include <unistd.h>

void machine_raise_irq(int target, u32 bits)
{
	struct cpu *cpu = cpu_at(target), *self = this_cpu();
	u32 before = atomic_fetch_or(bits, &cpu->irq_pending);

	if (before)
		return; /* Who set the first bit has told it, or is about to. */
	if (cpu == self) {
		if (!cpu->irq_off)
			irq_run_pending();
		return;
	}
	if (self)
		trace_event(EVENT_IPI_SEND, target, bits);
	if (READ_ONCE(cpu->sleeping)) {
		kick_sleeper(cpu);
	} else {
		int saved = errno;

		syscall(SYS_tgkill, cpu->pid, READ_ONCE(cpu->owner_tid), SIG_IRQ);
		errno = saved;
	}
}

u32 machine_take_irqs(void)
{
	struct cpu *cpu = this_cpu();
	u32 pending;

	if (!READ_ONCE(cpu->irq_pending))
		return 0;
	pending = xchg(&cpu->irq_pending, 0);
	if (pending & IRQ_YIELD)
		cpu->yield = 1;
	return pending;
}

u64 machine_jiffies(void)
{
	return machine_now() / NSEC_PER_JIFFY;
}

/* The coordinator looks at least every IDLE_TURN_US, and takes it back when it has come. */
void machine_timer_program(u64 when)
{
	WRITE_ONCE(this_cpu()->timer, when);
}

/* The signal is blocked in its own handler. */
void machine_open_irqs(bool open)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_IRQ);
	pthread_sigmask(open ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* What this CPU raised while they were off, and nobody has looked at: in a handler of signals. */
void raise_irqs_left(struct cpu *cpu)
{
	if (unlikely(READ_ONCE(cpu->irq_pending)) && !cpu->irq_off)
		syscall(SYS_tgkill, cpu->pid, cpu->owner_tid, SIG_IRQ);
}

/*
 * It goes to the thread that is the CPU, if there is one now and it can take it.
 * If not, it stays pending, and comes with the next one.
 */
void raise_nmi(int target, u32 lines)
{
	struct cpu *cpu = cpu_at(target);

	atomic_fetch_or(lines, &cpu->nmi_pending);
	syscall(SYS_tgkill, cpu->pid, READ_ONCE(cpu->owner_tid), SIG_NMI);
}

u32 machine_take_nmis(void)
{
	struct cpu *cpu = this_cpu();

	return READ_ONCE(cpu->nmi_pending) ? xchg(&cpu->nmi_pending, 0) : 0;
}

/* Others may have interrupts to take, and lack a core to do it on. */
void machine_irqs_done(void)
{
	struct cpu *cpu = this_cpu();

	/* A task woken here may be what the others wait for; machine_switch() gives way. */
	if (!(cpu->preempt_work & PREEMPT_WORK_RESCHED) || !preempt_is_full())
		core_give_way(cpu, true);
}

static void irq_signal(int signal, siginfo_t *info, void *context)
{
	struct cpu *cpu = this_cpu();
	struct pt_regs regs;
	u64 switches;

	/* Late: another thread is the CPU now. Or pended: who enables, takes it. */
	if (!machine_self || READ_ONCE(cpu->owner_tid) != machine_self->tid)
		return;
	if (cpu->irq_off)
		return;
	if (!READ_ONCE(cpu->irq_pending)) {
		cpu->nr_spurious++;
		return;
	}
	cpu->nr_irqs++;
	regs_from_context(&regs, context);
	switches = machine_self->nivcsw;
	do_irq(&regs);
	sync_core();
	if (machine_self->nivcsw != switches)
		ftrace_note_preempted(&regs);
}

int install_irq_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = irq_signal, .sa_flags = SA_SIGINFO | SA_RESTART,
	};

	sigemptyset(&action.sa_mask);
	return sigaction(SIG_IRQ, &action, NULL) ? -errno : 0;
}

/* A task leaves a slot within one instruction; freed slots wait for it as for a reader. */
bool machine_ip_is_atomic(u64 ip)
{
	return is_slot_area(ip);
}
