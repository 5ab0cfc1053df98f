/* SPDX-License-Identifier: MIT */
/*
 * What a machine provides to the mechanisms: all that workers/kernel knows of it.
 *
 * The real machine (workers/real) and the virtual one give the same short list.
 * machine_inline.h is found in the folder of the machine that is built; it
 * defines this_cpu(), sync_core(), this_cpu_add(), machine_now() and what is
 * told of memory.
 */
#ifndef WORKERS_MACHINE_H
#define WORKERS_MACHINE_H

#include <compiler.h>
#include <shm_layout/machine.h>

#include <machine_inline.h>

/* this_cpu(): struct cpu * of the CPU that runs this; tasks never migrate.
 * this_cpu_add(p, v): one unlocked instruction, so no interrupt splits it and
 * it stays in the store buffer; this_cpu_fetch_add() also returns the old value.
 * machine_now(): machine time, ns.
 * machine_cycles(): a fine counter that all CPUs share.
 * machine_stamp(): the same, never 0, for reports: nothing that is done follows from it.
 * sync_core(): what was fetched before is fetched again.
 *
 * The slab tells which bytes may be accessed, so that a machine that sees each
 * access can judge it; MACHINE_POISONS is true on one that cannot: there, bytes
 * that may not be accessed are filled with a pattern, which is looked at later.
 * machine_memory_reserved(start, size): nobody's, for now;
 * machine_memory_allocated(start, size): somebody's, with any contents;
 * machine_memory_freed(start, size): it was somebody's.
 *
 * Locks, readers and grace periods are told, so that a machine that keeps a
 * record can judge their order; this is no operation of the code's.
 * machine_lock_acquired(lock, LOCK_*), machine_lock_released(lock);
 * machine_lock_made(lock): a lock begins its life, whatever was there before;
 * machine_locks_held(): by this task or interrupt, as far as is known;
 * machine_waits_for_cpus(mask): this waits until they have taken an interrupt;
 * machine_reader_begins(domain), machine_reader_ends(domain): of the running
 * task, may nest. Sections with preemption or interrupts off are seen without:
 * PREEMPT_OFF_READERS is their domain; RCU_READERS are they and rcu_read_lock()'s;
 * machine_mover_begins(domain), machine_mover_ends(domain): of a reader that may
 * be ended by another task; of several, the oldest counts as the one that ends;
 * machine_quiescent(surely): what this CPU does now is no such section, unless
 * it has interrupted one; @surely: not then either;
 * machine_region_ends(goes_on): where tasks are not preempted, whatever a CPU does is a
 * reader of RCU_READERS until it says so; @goes_on: from here on it is one again;
 * machine_grace_period_begins(domain): a moment; machine_grace_period_ends(
 * domain, moment): no reader is left that had begun before;
 * machine_callback_queued(domain, head), machine_callback_runs(domain, head): the
 * same of what waits in a queue;
 * machine_cookie_taken(domain, cookie), machine_cookie_passed(domain, cookie): the
 * same of who asks now and then whether a grace period lies behind that number.
 */
#define LOCK_SHARED 0x1       /* others may hold it so at the same time */
#define LOCK_RECURSIVE 0x2    /* shared, and waits only for who has it alone */
#define LOCK_TRY 0x4          /* would not have waited */

#define PREEMPT_OFF_READERS NULL
#define TASK_READERS ((const void *)1) /* a task, between two switches by itself */
#define RCU_READERS ((const void *)2)
#define RUDE_READERS ((const void *)4) /* PREEMPT_OFF_READERS, and an idle task, to its switch */
#define TRACE_READERS ((const void *)5) /* told, of the running task */

/*
 * Text is told, too, so that a machine that fetches each instruction itself can
 * judge it: machine_call_text(addr, a, b) runs the text function at @addr;
 * machine_text_insn(addr, bytes, length): from now on a CPU may meet this
 * instruction at @addr, besides what was loaded there; machine_text_copy(addr,
 * bytes, origin): the same, a copy of the one that was loaded at @origin;
 * machine_text_allocated(), machine_text_freed(addr, size): somebody's, nobody's.
 * machine_text_calls(function): text may call this C function, or jump to it when it was called;
 * machine_text_writing(addr, size): they are about to be written, by the caller;
 * machine_text_writer(addr) is who was the last, NULL if nobody.
 * MACHINE_MODELS_FETCH is true on a machine that shows it when a CPU was not
 * made to fetch anew, and knows who wrote; on another, that is for text_poke.c.
 */

/* Counters that are only ever looked at by who watches: no mechanism decides by them. */
#define __statistics __attribute__((section("statistics")))

#define current (this_cpu()->curr)
/* Not in the scheduler, whose functions run on for another task. */
#define current_stable READ_STABLE(this_cpu()->curr)
#define smp_processor_id() (this_cpu()->id)
#define num_cpus() (the_machine->config.cpus)
#define cpu_at(n) (&the_machine->cpu[n])
#define cpu_online(n) (READ_ONCE(cpu_at(n)->online))
#define preempt_is_full() (likely(READ_STABLE(the_machine->config.preempt) == PREEMPT_FULL))
#define for_each_online_cpu(n) \
	for ((n) = 0; (n) < (int)num_cpus(); (n)++) \
		if (cpu_online(n))

/* Make @bits (IRQ_*) pending on @cpu and interrupt it, wherever it is. */
void machine_raise_irq(int cpu, u32 bits);

/*
 * Give way while *@word is @value; may return early, so callers loop.
 * Pending interrupts are taken meanwhile if they are enabled. Who changes the
 * word calls machine_wake() afterwards.
 */
void machine_relax_while(const u32 *word, u32 value);
void machine_wake(const u32 *word);

/*
 * Wait in that way until no bit of @bits is set in *@word; what was written before that is seen
 * after it. One operation on a machine that tries every order, and not one for each look.
 */
void machine_wait_clear(const u32 *word, u32 bits);

/*
 * Take 1 from a count for which somebody may wait like that, and wake it if nothing is left.
 * What was written before is seen by who waits. Who is the last one remains unknown.
 */
void machine_count_down(u32 *count);

/*
 * Wait for *@word to be no longer @value as long as that costs less than to sleep; may return
 * early. This CPU keeps its core, nobody has to call machine_wake(), interrupts are taken.
 */
void machine_spin_while(const u32 *word, u32 value);

/* In an interrupt: somebody waits for what it came into, which is short, so that goes first. */
void machine_keep_core(void);

/*
 * What somebody waited for is done: others that are waited for, too, go first. Any context but
 * NMI. Also one that this task waits for, and that is only to go on: @cpu.
 */
void machine_offer_core(void);
void machine_hurry(int cpu);

/* The running task gives this CPU to @next; interrupts are off. Returns when it has it back. */
void machine_switch(struct task_struct *prev, struct task_struct *next);

/* Nothing to run: rest until an interrupt is pending. Interrupts are off, and stay so. */
void machine_idle(void);

/* A task slot of @cpu needs something to run on; returns when it has it, or -errno. */
int machine_start_task(struct task_struct *task);

/* Pending interrupts of this CPU, which are no longer pending after this. */
u32 machine_take_irqs(void);

/*
 * What time it is, in ticks of NSEC_PER_JIFFY of machine time; no CPU sees it go back.
 * On a machine whose time is nobody's clock it stands still until a timer interrupts.
 */
u64 machine_jiffies(void);

/*
 * Interrupt this CPU by IRQ_TIMER once, when machine_jiffies() has come to @when, instead
 * of when it was to be before; 0 = never. Interrupts are off.
 */
void machine_timer_program(u64 when);

/*
 * In an interrupt that was no poll: others may come into it from now on (@open), like into a
 * task, or no more. Interrupts are off.
 */
void machine_open_irqs(bool open);

/* Lines of this CPU (bits) that an NMI came of, and that are not pending after this. In an NMI. */
u32 machine_take_nmis(void);

/* What was taken has been handled: whoever waited for it has been woken. */
void machine_irqs_done(void);

/*
 * machine_irqs_came(): true if more became pending meanwhile. A machine that interrupts
 * the CPU as soon as it can need not say so.
 */

/* the_machine->state or a request changed: tell who supervises. Any context. */
void machine_notify(void);

/* A finding is written: stop the machine and save it. Does not return. */
void machine_freeze(void) __attribute__((noreturn));

/* True if @ip lies where a task must not be preempted (an instruction slot). */
bool machine_ip_is_atomic(u64 ip);

#endif
