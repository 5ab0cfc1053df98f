// SPDX-License-Identifier: MIT
/* Which locks each task holds, and what follows from taking one more. */
#include "detectors/lock_order.h"
#include "detectors/report.h"

#include <irqflags.h>

#define PLACES 256            /* of the table of addresses; a power of two */

struct holder {
	u32 run;              /* that count is of */
	u32 count;
	u32 lost;             /* too deep for held[] */
	struct held_lock held[MAX_HELD];
};

struct lock locks[MAX_LOCKS];
struct lock_link lock_links[MAX_LINKS];
u32 nr_lock_links;
u64 locks_in_irq, locks_called_under;
struct lock_use_place lock_uses[MAX_LOCKS][LOCK_USES][VIRTUAL_CPUS];

static struct holder holders[MAX_FIBERS];
static u32 run, nr_locks;
static u64 free_locks;        /* below nr_locks, whose memory was given away */

/* Where the lock of an address is, valid in one run. */
static struct { u64 addr; u32 run, lock; } places[PLACES];

/* Functions between who takes a lock and us. */
extern const u8 __start_passed_over[] __attribute__((weak));
extern const u8 __stop_passed_over[] __attribute__((weak));

void lock_order_begin(void)
{
	if (!++run) {
		for (u32 n = 0; n < MAX_FIBERS; n++)
			holders[n].run = 0;
		for (u32 n = 0; n < PLACES; n++)
			places[n].run = 0;
		run = 1;
	}
	nr_locks = nr_lock_links = 0;
	free_locks = locks_in_irq = locks_called_under = 0;
}

static u32 new_lock(u64 addr)
{
	u32 lock;

	if (free_locks) {
		lock = __builtin_ctzl(free_locks);
		free_locks &= free_locks - 1;
	} else if (nr_locks < MAX_LOCKS) {
		lock = nr_locks++;
	} else {
		return NO_LOCK;
	}
	locks[lock] = (struct lock){ .addr = addr };
	return lock;
}

static u32 place_of(u64 addr)
{
	u32 place = (addr >> 2 ^ addr >> 11) % PLACES;

	while (places[place].run == run && places[place].addr != addr)
		place = (place + 1) % PLACES;
	return place;
}

static u32 find_lock(u64 addr)
{
	u32 place = place_of(addr);

	return places[place].run == run ? places[place].lock : NO_LOCK;
}

/* Once known, its place in the table stays for the run, whatever lies there. */
static void make_lock(u64 addr)
{
	static u32 filled_run, filled;
	u32 place = place_of(addr);

	if (filled_run != run) {
		filled_run = run;
		filled = 0;
	}
	if (places[place].run != run) {
		if (filled == PLACES * 3 / 4)
			return;
		filled++;
		places[place].addr = addr;
		places[place].run = run;
		places[place].lock = NO_LOCK;
	}
	if (places[place].lock == NO_LOCK)
		places[place].lock = new_lock(addr);
}

static u32 lock_at(u64 addr)
{
	u32 lock = find_lock(addr);

	if (likely(lock != NO_LOCK) || addr - engine.stacks < engine.stacks_size)
		return lock;
	make_lock(addr);
	return find_lock(addr);
}

static void forget_links(u32 lock)
{
	u32 kept = 0;

	for (u32 n = 0; n < nr_lock_links; n++) {
		if (lock_links[n].lock == lock || lock_links[n].held >> lock & 1)
			continue;
		if (kept != n)
			lock_links[kept] = lock_links[n];
		kept++;
	}
	nr_lock_links = kept;
}

static void forget_lock(u32 lock)
{
	places[place_of(locks[lock].addr)].lock = NO_LOCK;
	locks[lock].addr = 0;
	free_locks |= 1UL << lock;
	locks_in_irq &= ~(1UL << lock);
	locks_called_under &= ~(1UL << lock);
	forget_links(lock);
}

void lock_order_forget(u64 start, u64 size)
{
	for (u32 n = 0; n < nr_locks; n++) {
		if (locks[n].addr - start < size)
			forget_lock(n);
	}
}

static struct holder *holder_of(const struct vcpu *cpu)
{
	struct holder *holder = &holders[cpu->fiber->index];

	if (holder->run != run) {
		holder->run = run;
		holder->count = holder->lost = 0;
	}
	return holder;
}

void lock_note_place(struct lock_place *place, const struct vcpu *cpu, const u64 *frame)
{
	u64 stack_end = cpu->fiber->stack + cpu->fiber->size - 16;

	place->cpu = cpu->id;
	place->task = cpu->fiber->index;
	place->tsc = engine.steps + 1;
	for (u32 n = 0; n < PLACE_FRAMES; n++) {
		place->stack[n] = frame[1];
		if (frame[0] <= (u64)frame || frame[0] > stack_end) {
			if (n + 1 < PLACE_FRAMES)
				place->stack[n + 1] = 0;
			return;
		}
		frame = (const u64 *)frame[0];
	}
}

static bool is_passed_over(u64 pc)
{
	return pc - (u64)__start_passed_over < (u64)__stop_passed_over - (u64)__start_passed_over;
}

u64 lock_caller(const struct lock_place *place)
{
	for (u32 n = 0; n < PLACE_FRAMES && place->stack[n]; n++) {
		if (!is_passed_over(place->stack[n]))
			return place->stack[n];
	}
	return place->stack[0];
}

struct side lock_side(const struct lock_place *place)
{
	struct side side = { .cpu = place->cpu, .task = place->task, .tsc = place->tsc };
	u32 count = 0;

	for (u32 n = 0; n < PLACE_FRAMES && place->stack[n]; n++) {
		if (!is_machine_text(place->stack[n]))
			side.stack[count++] = place->stack[n];
	}
	return side;
}

/* True if this says something new. */
static bool note_use(u32 lock, enum lock_use use, u32 cpu, u64 held, const struct lock_place *place)
{
	struct lock_use_place *known = &lock_uses[lock][use][cpu];
	u32 *cpus = &locks[lock].cpus[use];

	/* Known, unless fewer locks are held now. */
	if (likely(*cpus >> cpu & 1) && (known->held == held || held & ~known->held))
		return false;
	*cpus |= 1u << cpu;
	if (use == USED_IN_IRQ || use == USED_IN_IRQ_ALONE ||
	    use == USED_IN_SOFTIRQ || use == USED_IN_SOFTIRQ_ALONE)
		locks_in_irq |= 1UL << lock;
	if (use == CALLED_UNDER || use == CALLED_UNDER_ALONE)
		locks_called_under |= 1UL << lock;
	known->held = held;
	known->place = *place;
	return true;
}

/* Those that its task, or the interrupt, holds besides. */
static u64 held_besides(const struct holder *holder, const struct held_lock *held)
{
	u64 locks_held = 0;

	for (u32 n = 0; n < holder->count; n++) {
		const struct held_lock *other = &holder->held[n];

		if (other != held && other->lock != NO_LOCK && !(other->flags & LOCK_SHARED))
			locks_held |= 1UL << other->lock;
	}
	return locks_held;
}

static enum lock_context context_of(u32 cpu)
{
	const struct cpu *context = &the_machine->cpu[cpu];

	if (context->irq_depth || context->nmi_depth)
		return IN_IRQ;
	return context->preempt_count & SOFTIRQ_OFFSET ? IN_SOFTIRQ : IN_TASK;
}

/* At the end of an interrupt, which may come. */
static bool softirqs_may_come(u32 cpu)
{
	return context_of(cpu) == IN_TASK && !(the_machine->cpu[cpu].preempt_count & SOFTIRQ_MASK);
}

static bool note_uses(const struct holder *holder, const struct held_lock *held, u32 cpu,
		      bool irqs_off)
{
	bool wants_alone = !(held->flags & LOCK_RECURSIVE), changed = false;
	bool is_alone = !(held->flags & LOCK_SHARED);
	u64 besides = held_besides(holder, held);

	if (!(held->flags & LOCK_TRY)) {
		if (irqs_off)
			changed = note_use(held->lock,
					   wants_alone ? WANTED_IRQS_OFF_ALONE : WANTED_IRQS_OFF,
					   cpu, besides, &held->place);
		if (held->context == IN_IRQ)
			changed |= note_use(held->lock,
					    wants_alone ? USED_IN_IRQ_ALONE : USED_IN_IRQ, cpu,
					    besides, &held->place);
		if (held->context == IN_SOFTIRQ)
			changed |= note_use(held->lock,
					    wants_alone ? USED_IN_SOFTIRQ_ALONE : USED_IN_SOFTIRQ,
					    cpu, besides, &held->place);
	}
	if (!irqs_off)
		changed |= note_use(held->lock, is_alone ? USED_IRQS_ON_ALONE : USED_IRQS_ON, cpu,
				    besides, &held->place);
	if (!irqs_off && softirqs_may_come(cpu))
		changed |= note_use(held->lock,
				    is_alone ? USED_SOFTIRQS_ON_ALONE : USED_SOFTIRQS_ON, cpu,
				    besides, &held->place);
	return changed;
}

/* What the interrupted task holds is no matter of the interrupt's: see lock_irq.c. */
static bool link_of(struct lock_link *link, const struct holder *holder,
		    const struct held_lock *wanted)
{
	link->held = link->shared = 0;
	link->nr_held = 0;
	for (u32 n = holder->count; n--; ) {
		const struct held_lock *held = &holder->held[n];
		u64 bit = 1UL << held->lock;

		if (held->context != wanted->context)
			break;
		if (held->lock == NO_LOCK || held->lock == wanted->lock)
			continue;
		if (held->flags & LOCK_SHARED && !(link->held & ~link->shared & bit))
			link->shared |= bit;
		else
			link->shared &= ~bit;
		link->held |= bit;
		link->held_lock[link->nr_held] = held->lock;
		link->held_at[link->nr_held++] = lock_caller(&held->place);
	}
	return link->nr_held;
}

static bool is_same_link(const struct lock_link *a, const struct lock_link *b)
{
	return a->actor == b->actor && a->lock == b->lock && a->held == b->held &&
	       a->flags == b->flags && a->shared == b->shared && a->atomic == b->atomic;
}

static bool add_link(const struct vcpu *cpu, const struct holder *holder,
		     const struct held_lock *wanted)
{
	const struct cpu *context = &the_machine->cpu[cpu->id];
	struct lock_link *link = &lock_links[nr_lock_links];

	if (nr_lock_links == MAX_LINKS || !link_of(link, holder, wanted))
		return false;
	link->actor = cpu->fiber->index;
	if (wanted->context != IN_TASK)
		link->actor = MAX_FIBERS * wanted->context + cpu->id;
	link->cpu = cpu->id;
	link->lock = wanted->lock;
	link->flags = wanted->flags;
	link->atomic = context->preempt_count || context->irq_off;
	for (u32 n = 0; n < nr_lock_links; n++) {
		if (is_same_link(&lock_links[n], link))
			return false;
	}
	link->place = wanted->place;
	nr_lock_links++;
	return true;
}

noinline void machine_lock_acquired(const void *lock, u32 flags)
{
	struct vcpu *cpu = engine.cpu;
	const struct cpu *context = &the_machine->cpu[cpu ? cpu->id : 0];
	u64 frame = (u64)__builtin_frame_address(0);
	struct held_lock *held;
	struct holder *holder;
	bool changed;

	if (unlikely(!cpu || engine.booting))
		return;
	holder = holder_of(cpu);
	if (unlikely(holder->count == MAX_HELD)) {
		holder->lost++;
		return;
	}
	held = &holder->held[holder->count];
	held->lock = lock_at((u64)lock);
	held->addr = (u64)lock;
	held->flags = flags;
	held->context = context_of(cpu->id);
	lock_note_place(&held->place, cpu, (const u64 *)frame);
	if (unlikely(held->lock == NO_LOCK)) {
		holder->count++;
		return;
	}
	locks[held->lock].written |= !(flags & LOCK_SHARED);
	changed = note_uses(holder, held, cpu->id, context->irq_off);
	if (holder->count && !(flags & LOCK_TRY) && add_link(cpu, holder, held)) {
		lock_cycle_check(nr_lock_links - 1, frame);
		changed = true;
	}
	holder->count++;
	if (unlikely(changed))
		lock_irq_check(frame);
}

noinline void machine_lock_released(const void *lock)
{
	struct vcpu *cpu = engine.cpu;
	struct holder *holder;
	u32 n;

	if (unlikely(!cpu || engine.booting))
		return;
	holder = holder_of(cpu);
	for (n = holder->count; n--; ) {
		struct held_lock *held = &holder->held[n];

		if (held->addr != (u64)lock)
			continue;
		/* Interrupts may have been turned on since. */
		if (held->lock != NO_LOCK && !the_machine->cpu[cpu->id].irq_off &&
		    note_uses(holder, held, cpu->id, false))
			lock_irq_check((u64)__builtin_frame_address(0));
		for (holder->count--; n < holder->count; n++)
			holder->held[n] = holder->held[n + 1];
		return;
	}
	if (holder->lost)
		holder->lost--;
}

void machine_lock_made(const void *lock)
{
	u32 known;

	if (!engine.cpu || engine.booting)
		return;
	known = find_lock((u64)lock);
	if (known != NO_LOCK)
		forget_lock(known);
	make_lock((u64)lock);
}

u32 machine_locks_held(void)
{
	const struct holder *holder = engine.cpu ? holder_of(engine.cpu) : NULL;

	return holder ? holder->count + holder->lost : 0;
}

noinline void machine_waits_for_cpus(u64 mask)
{
	struct vcpu *cpu = engine.cpu;
	u64 frame = (u64)__builtin_frame_address(0);
	struct lock_place place;
	struct holder *holder;
	bool changed = false;

	if (unlikely(!cpu || engine.booting))
		return;
	holder = holder_of(cpu);
	if (likely(!holder->count))
		return;
	lock_note_place(&place, cpu, (const u64 *)frame);
	for (u32 n = 0; n < holder->count; n++) {
		struct held_lock *held = &holder->held[n];
		u64 left = held->lock == NO_LOCK ? 0 : mask;
		enum lock_use use = held->flags & LOCK_SHARED ? CALLED_UNDER : CALLED_UNDER_ALONE;

		for (; left; left &= left - 1)
			changed |= note_use(held->lock, use, __builtin_ctzl(left),
					    held_besides(holder, held), &place);
	}
	if (changed)
		lock_irq_check(frame);
}
