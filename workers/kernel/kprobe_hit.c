// SPDX-License-Identifier: MIT
/*
 * What happens at a breakpoint. Interrupts are off from the trap until the
 * probed instruction has run, so all of it is one RCU reader, and the CPU's
 * kprobe_cpu needs no lock. NMIs come nevertheless: see set_running().
 */
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/insn_slot.h>
#include <kernel/kprobe_internal.h>
#include <percpu.h>
#include <trace.h>
#include <x86/emulate.h>
#include <x86/singlestep.h>

DEFINE_PER_CPU(struct kprobe_cpu, kprobe_cpus);
struct kprobe_stats kprobe_stats[MAX_CPUS] __statistics;

static struct kprobe_stats *this_cpu_stats(void)
{
	return &kprobe_stats[smp_processor_id()];
}

struct kprobe *kprobe_running(void)
{
	return this_cpu_ptr(kprobe_cpus)->running;
}

struct kprobe *get_kprobe(u64 addr)
{
	struct kprobe *p;

	hlist_for_each_entry_rcu(p, kprobe_bucket(addr), hlist) {
		if (p->addr == addr)
			return p;
	}
	return NULL;
}

/*
 * An NMI may come between any two of these lines, and hit a probe. While running
 * is set it takes that for a re-entry, which leaves everything as it was; so
 * running is set first and cleared first.
 */
static void set_running(struct kprobe_cpu *kcb, struct kprobe *p, u32 status, u64 flags)
{
	WRITE_ONCE(kcb->running, p);
	barrier();
	WRITE_ONCE(kcb->saved_flags, flags);
	WRITE_ONCE(kcb->status, status);
}

static void reset_running(struct kprobe_cpu *kcb)
{
	WRITE_ONCE(kcb->running, NULL);
	barrier();
	WRITE_ONCE(kcb->status, KPROBE_HIT_NONE);
}

/* All of it is there before it is counted, and not used any more before it is uncounted. */
static void save_previous(struct kprobe_cpu *kcb)
{
	u32 n = kcb->nr_previous;

	kcb->previous[n].running = kcb->running;
	kcb->previous[n].saved_flags = kcb->saved_flags;
	kcb->previous_status[n] = kcb->status;
	barrier();
	WRITE_ONCE(kcb->nr_previous, n + 1);
}

static void restore_previous(struct kprobe_cpu *kcb)
{
	u32 n = kcb->nr_previous - 1;

	set_running(kcb, kcb->previous[n].running, kcb->previous_status[n],
		    kcb->previous[n].saved_flags);
	barrier();
	WRITE_ONCE(kcb->nr_previous, n);
}

static int call_pre_handler(struct kprobe *p, kprobe_pre_handler_t handler, struct pt_regs *regs)
{
	struct balance before = balance_here();
	int redirected;

	trace_event(EVENT_HANDLER, (u64)p, p->addr);
	this_cpu_add(&this_cpu_stats()->hits, 1);
	redirected = handler(p, regs);
	check_balance(handler, before);
	return redirected;
}

static void call_post_handler(struct kprobe *p, kprobe_post_handler_t handler,
			      struct pt_regs *regs, u64 flags)
{
	struct balance before = balance_here();

	handler(p, regs, flags);
	check_balance(handler, before);
}

int aggr_pre_handler(struct kprobe *ap, struct pt_regs *regs)
{
	struct kprobe_cpu *kcb = this_cpu_ptr(kprobe_cpus);
	struct kprobe *kp;

	list_for_each_entry_rcu(kp, &ap->list, list) {
		kprobe_pre_handler_t handler = READ_ONCE(kp->pre_handler);

		if (!handler || kprobe_disabled(kp))
			continue;
		kcb->instance = kp;
		/* The instance stays set: it says who changed ip. */
		if (call_pre_handler(kp, handler, regs))
			return 1;
		kcb->instance = NULL;
	}
	return 0;
}

void aggr_post_handler(struct kprobe *ap, struct pt_regs *regs, u64 flags)
{
	struct kprobe_cpu *kcb = this_cpu_ptr(kprobe_cpus);
	struct kprobe *kp;

	list_for_each_entry_rcu(kp, &ap->list, list) {
		kprobe_post_handler_t handler = READ_ONCE(kp->post_handler);

		if (!handler || kprobe_disabled(kp))
			continue;
		kcb->instance = kp;
		call_post_handler(kp, handler, regs, flags);
		kcb->instance = NULL;
	}
}

static void count_missed(struct kprobe *p)
{
	trace_event(EVENT_MISSED, (u64)p, p->addr);
	this_cpu_add(&this_cpu_stats()->missed, 1);
	/* Any CPU may miss the same probe at the same time: a plain add would lose some. */
	atomic_inc(&p->nmissed);
}

static void count_missed_all(struct kprobe *p)
{
	struct kprobe *kp;

	if (!kprobe_aggrprobe(p)) {
		count_missed(p);
		return;
	}
	list_for_each_entry_rcu(kp, &p->list, list)
		count_missed(kp);
}

/* The probed instruction has happened. */
static void post_process(struct kprobe_cpu *kcb, struct pt_regs *regs)
{
	struct kprobe *p = kcb->running;
	kprobe_post_handler_t handler = READ_ONCE(p->post_handler);

	if (kcb->status == KPROBE_REENTER) {
		restore_previous(kcb);
		return;
	}
	if (handler) {
		WRITE_ONCE(kcb->status, KPROBE_HIT_SSDONE);
		call_post_handler(p, handler, regs, kcb->saved_flags);
	}
	reset_running(kcb);
}

/* Let the probed instruction happen: in its slot, or by emulation. */
static void setup_singlestep(struct kprobe_cpu *kcb, struct kprobe *p, struct pt_regs *regs,
			     bool reenter)
{
	struct kprobe_stats *stats = this_cpu_stats();

	if (p->ainsn.boostable && !READ_ONCE(p->post_handler)) {
		this_cpu_add(&stats->boosted, 1);
		if (!reenter)
			reset_running(kcb);
		regs->ip = p->ainsn.slot;
		return;
	}
	if (reenter) {
		save_previous(kcb);
		set_running(kcb, p, KPROBE_REENTER, regs->flags);
	} else {
		WRITE_ONCE(kcb->status, KPROBE_HIT_SS);
	}
	if (p->ainsn.slot) {
		this_cpu_add(&stats->stepped, 1);
		singlestep_begin(p, regs);
		return;
	}
	this_cpu_add(&stats->emulated, 1);
	insn_emulate(&p->ainsn.insn, p->addr, regs);
	post_process(kcb, regs);
}

/*
 * A hit inside the handling of another one: in whatever the handler called, or in an
 * NMI, which may also come while a copy runs.
 *
 * Linux counts the hit and steps in the states ACTIVE, SSDONE and SS, and calls REENTER
 * a bug (reenter_kprobe() in arch/x86/kernel/kprobes/core.c, v6.12): so an NMI that hits
 * a probe while the copy of a re-entered one runs ends in BUG(). Here it does not.
 */
static void reenter_kprobe(struct kprobe_cpu *kcb, struct kprobe *p, struct pt_regs *regs)
{
	/* Nothing but the copy runs in this state, so only an NMI can hit a probe, and once. */
	if (unlikely(kcb->status == KPROBE_REENTER &&
		     (!in_nmi() || kcb->nr_previous == KPROBE_REENTRIES)))
		report_finding(FINDING_BAD_STATE, NULL, (u64)p, KPROBE_REENTER,
			       KPROBE_HIT_ACTIVE, p->addr);
	count_missed_all(p);
	setup_singlestep(kcb, p, regs, true);
}

bool kprobe_int3_handler(struct pt_regs *regs)
{
	struct kprobe_cpu *kcb = this_cpu_ptr(kprobe_cpus);
	struct kprobe *p = get_kprobe(regs->ip - 1);
	kprobe_pre_handler_t handler;

	/* A gone probe has no copy to run: whoever runs its text has no business there. */
	if (!p || unlikely(kprobe_gone(p)))
		return false;
	if (unlikely(kcb->running)) {
		reenter_kprobe(kcb, p, regs);
		return true;
	}
	set_running(kcb, p, KPROBE_HIT_ACTIVE, regs->flags);
	handler = READ_ONCE(p->pre_handler);
	if (handler == aggr_pre_handler ? aggr_pre_handler(p, regs) :
	    handler && call_pre_handler(p, handler, regs)) {
		this_cpu_add(&this_cpu_stats()->redirected, 1);
		reset_running(kcb);
		return true;
	}
	setup_singlestep(kcb, p, regs, false);
	return true;
}

bool kprobe_debug_handler(struct pt_regs *regs)
{
	struct kprobe_cpu *kcb = this_cpu_ptr(kprobe_cpus);
	struct kprobe *p = kcb->running;

	if (!p || (kcb->status != KPROBE_HIT_SS && kcb->status != KPROBE_REENTER))
		return false;
	if (!singlestep_is_at(p, regs))
		return false;
	trace_event(EVENT_SINGLESTEP, regs->ip, p->ainsn.slot);
	if (singlestep_end(p, regs, kcb->saved_flags))
		post_process(kcb, regs);
	return true;
}

u64 kprobe_slot_origin(u64 ip)
{
	for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++) {
		const struct kprobe *p;

		hlist_for_each_entry_rcu(p, &kprobe_table[n], hlist) {
			if (p->ainsn.slot && ip - p->ainsn.slot < INSN_SLOT_SIZE)
				return p->addr;
		}
	}
	return 0;
}
