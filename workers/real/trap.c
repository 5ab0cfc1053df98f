// SPDX-License-Identifier: MIT
/*
 * Traps by signal, on a stack of their own: int3, single steps, and faults,
 * which are findings.
 *
 * Interrupts are off in a trap: the signal mask keeps them away before the first
 * instruction of the handler, the flag tells everybody else. They stay off while
 * a single step is under way.
 */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <finding.h>
#include <irqflags.h>
#include <kernel/irq.h>
#include <kernel/slab.h>
#include <kernel/text_poke.h>
#include <unistd.h>
#include <x86/traps.h>

#define FLAGS_TRAP 0x100

/* A step under way: one per thread, since a stepped instruction takes no trap of ours. */
static __thread struct {
	bool active;
	bool unblock;         /* the interrupted code had interrupts unblocked */
	u32 irq_off;          /* as it was when the int3 was hit */
} step __attribute__((tls_model("local-exec")));

void regs_from_context(struct pt_regs *regs, const ucontext_t *context)
{
	const greg_t *g = context->uc_mcontext.gregs;

	*regs = (struct pt_regs){
		.r15 = g[REG_R15], .r14 = g[REG_R14], .r13 = g[REG_R13], .r12 = g[REG_R12],
		.bp = g[REG_RBP], .bx = g[REG_RBX], .r11 = g[REG_R11], .r10 = g[REG_R10],
		.r9 = g[REG_R9], .r8 = g[REG_R8], .ax = g[REG_RAX], .cx = g[REG_RCX],
		.dx = g[REG_RDX], .si = g[REG_RSI], .di = g[REG_RDI],
		.orig_ax = g[REG_TRAPNO], .ip = g[REG_RIP], .cs = g[REG_CSGSFS] & 0xffff,
		.flags = g[REG_EFL], .sp = g[REG_RSP],
	};
}

void regs_to_context(ucontext_t *context, const struct pt_regs *regs)
{
	greg_t *g = context->uc_mcontext.gregs;

	g[REG_R15] = regs->r15;
	g[REG_R14] = regs->r14;
	g[REG_R13] = regs->r13;
	g[REG_R12] = regs->r12;
	g[REG_RBP] = regs->bp;
	g[REG_RBX] = regs->bx;
	g[REG_R11] = regs->r11;
	g[REG_R10] = regs->r10;
	g[REG_R9] = regs->r9;
	g[REG_R8] = regs->r8;
	g[REG_RAX] = regs->ax;
	g[REG_RCX] = regs->cx;
	g[REG_RDX] = regs->dx;
	g[REG_RSI] = regs->si;
	g[REG_RDI] = regs->di;
	g[REG_RIP] = regs->ip;
	g[REG_EFL] = regs->flags;
	g[REG_RSP] = regs->sp;
}

static void begin_step(ucontext_t *context, u32 irq_off)
{
	step.active = true;
	step.irq_off = irq_off;
	step.unblock = !sigismember(&context->uc_sigmask, SIG_IRQ);
	sigaddset(&context->uc_sigmask, SIG_IRQ);
}

static u32 end_step(ucontext_t *context)
{
	step.active = false;
	if (step.unblock)
		sigdelset(&context->uc_sigmask, SIG_IRQ);
	return step.irq_off;
}

/* An interrupt is pending, or what one left to do has become possible. */
static bool interrupt_first(const struct cpu *cpu)
{
	if (READ_ONCE(cpu->irq_pending))
		return true;
	/* Softirqs that are left for the next tick are left to it, and SRCU waits for a reader. */
	return READ_ONCE(cpu->preempt_work) & (PREEMPT_WORK_RESCHED | PREEMPT_WORK_QS) &&
	       !cpu->preempt_count && !cpu->irq_depth && cpu->curr != cpu->idle &&
	       preempt_is_full();
}

static void trap_signal(int signal, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	struct cpu *cpu = this_cpu();
	bool stepped = info->si_code == TRAP_TRACE;
	struct pt_regs regs;
	u32 irq_off;

	irq_off = cpu->irq_off;
	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	if (stepped && step.active)
		irq_off = end_step(context);
	regs_from_context(&regs, context);
	/*
	 * As if the interrupt had come just before the int3, which is then met again.
	 * Otherwise it would come on the way back, mostly into the slot, where
	 * neither a grace period nor another task gets anything from this CPU.
	 */
	if (!stepped && !irq_off && interrupt_first(cpu)) {
		regs.ip--;
		cpu->nr_polled++;
		do_irq(&regs);
		context->uc_mcontext.gregs[REG_RIP] = regs.ip;
		return;
	}
	if (stepped)
		do_debug(&regs);
	else
		do_int3(&regs);
	regs_to_context(context, &regs);
	if (regs.flags & FLAGS_TRAP) {
		begin_step(context, irq_off);
		return;
	}
	WRITE_ONCE(cpu->irq_off, irq_off);
	raise_irqs_left(cpu);
}

/*
 * An NMI: interrupts are off in it, by the mask and by the flag, and it does not
 * come into itself. It may come into a trap, also before the flag is set, and
 * between a trap and the instruction that is stepped: so the step under way is
 * put aside. What is not to be entered twice (a lock of the machine) says so.
 */
static void nmi_signal(int signal, siginfo_t *info, void *data)
{
	__typeof__(step) before = step;
	struct cpu *cpu = this_cpu();
	struct pt_regs regs;
	int saved = errno;
	u32 irq_off;

	if (!machine_self || READ_ONCE(cpu->owner_tid) != machine_self->tid || cpu->nmi_off)
		return;
	irq_off = cpu->irq_off;
	WRITE_ONCE(cpu->irq_off, 1);
	barrier();
	step.active = false;
	regs_from_context(&regs, data);
	do_nmi(&regs);
	step = before;
	barrier();
	WRITE_ONCE(cpu->irq_off, irq_off);
	raise_irqs_left(cpu);
	errno = saved;
}

/* What the fault address, or a register that made it, tells of a freed object. */
static void fault_signal(int signal, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	const struct slab_object *object;
	const struct side *other = NULL;
	struct pt_regs regs;

	if (!this_cpu() || !machine_self)
		_exit(113); /* Not a task: the coordinator says that this CPU is lost. */
	WRITE_ONCE(this_cpu()->irq_off, 1);
	regs_from_context(&regs, context);
	object = slab_suspect(&regs);
	if (object)
		other = &object->freed;
	else if (is_text(regs.ip) || (u64)info->si_addr == regs.ip)
		other = text_suspect(regs.ip);
	report_finding_at(FINDING_CRASH, other, &regs,
			  (u64[6]){ signal, (u64)info->si_addr, regs.orig_ax,
				    context->uc_mcontext.gregs[REG_ERR] });
}

static int install(int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {
		.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIG_IRQ);
	return sigaction(signal, &action, NULL) ? -errno : 0;
}

int install_nmi_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = nmi_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIG_IRQ);
	return sigaction(SIG_NMI, &action, NULL) ? -errno : 0;
}

int install_trap_handlers(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS };
	int error = install(SIGTRAP, trap_signal);

	for (u32 n = 0; n < ARRAY_SIZE(faults) && !error; n++)
		error = install(faults[n], fault_signal);
	return error;
}
