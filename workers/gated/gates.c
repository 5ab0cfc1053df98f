// SPDX-License-Identifier: MIT
/* Whose turn it is, and what a CPU does that comes to a gate. */
#define _GNU_SOURCE
#include "gates.h"

#include <finding.h>
#include <irqflags.h>
#include <real.h>

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 2000            /* looks at the turn before the core is given away */
#define LEAD_CYCLES 4000      /* until both go: longer than the news takes to the other one */

/* Beside ticks (1) and the lines: see the sources of the explorer's interrupts. */
#define TIMER_SOURCE (2u << IRQ_LINES)

struct gates gates;

/* This thread takes no interrupts but at gates. */
static __thread bool holds_irqs __attribute__((tls_model("local-exec")));

static void hold_irqs(bool hold)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_IRQ);
	holds_irqs = hold;
	pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* The timer of @cpu, which is this one, comes now, whatever it was armed for: so time passes. */
static u32 let_time_pass(const struct cpu *cpu)
{
	u64 when = xchg(&gates.timer[cpu->id], 0UL), now = machine_jiffies();

	if (!when)
		return 0;
	if (when > now)
		atomic_fetch_add(when - now, &gates.skipped);
	return IRQ_TIMER;
}

static void raise_irqs(struct cpu *cpu, u32 sources)
{
	u32 bits = sources & 1 ? IRQ_TICK : 0;

	if (sources & TIMER_SOURCE)
		bits |= let_time_pass(cpu);

	for (u32 line = 0; line < IRQ_LINES; line++)
		bits |= sources >> (line + 1) & 1 ? IRQ_DEVICE(line) : 0;
	if (bits)
		atomic_fetch_or(bits, &cpu->irq_pending);
}

/* All interrupts that are pending come here, as signals, if they are enabled. */
static void take_irqs(struct cpu *cpu)
{
	hold_irqs(false);
	if (READ_ONCE(cpu->irq_pending) && !cpu->irq_off)
		syscall(SYS_tgkill, cpu->pid, READ_ONCE(cpu->owner_tid), SIG_IRQ);
	hold_irqs(true);
}

bool gate_holds_irqs(void)
{
	return holds_irqs;
}

static void give_core(u32 looks)
{
	__builtin_ia32_pause();
	if (looks % SPINS == SPINS - 1)
		sched_yield();
}

/* The turn of @cpu is over, if it has one. */
static void end_turn(const struct gate_cpu *cpu)
{
	if (cpu->turn)
		cmpxchg(&gates.turn, cpu->turn - 1, cpu->turn);
}

static bool is_over(u64 since)
{
	if (READ_ONCE(gates.open))
		return true;
	if (machine_now() - since < gates.patience_ns)
		return false;
	cmpxchg(&gates.open, 0, READ_ONCE(gates.turn) + 1);
	return true;
}

static void wait_for_turn(u32 turn)
{
	u64 since = machine_now();

	for (u32 looks = 0; smp_load_acquire(&gates.turn) != turn; looks++) {
		if (is_over(since))
			return;
		give_core(looks);
	}
}

/* Before a datum that another CPU may come to as well: then nothing orders the two. */
static void stay(struct gate_cpu *self, u64 addr, u32 size)
{
	u64 since = machine_now();

	record_side(&gates.stays);
	gates.stay_addr = addr;
	smp_store_release(&gates.stay_size, size);
	end_turn(self);
	for (u32 looks = 0; !READ_ONCE(gates.met) && !is_over(since); looks++)
		give_core(looks);
	WRITE_ONCE(gates.stay_size, 0);
}

static void meet(u64 addr, u32 size)
{
	u32 other = smp_load_acquire(&gates.stay_size);
	u64 start = gates.stay_addr;
	struct side side = gates.stays;

	if (!other || addr >= start + other || start >= addr + size)
		return;
	WRITE_ONCE(gates.met, 1);
	report_finding(FINDING_DATA_RACE, &side, addr, size, gates.access[0], gates.access[1],
		       start, other);
}

/*
 * What two CPUs see of each other's stores depends on nanoseconds, and to tell the
 * other one that a store is made is a store behind it. So both get a time to go.
 */
static void start(const struct gate_cpu *self)
{
	u64 since = machine_now();
	u32 place = atomic_fetch_add(1, &gates.started);

	if (!self->next && holds_irqs)
		hold_irqs(false);
	if (place)
		smp_store_release(&gates.start, machine_cycles() + LEAD_CYCLES);
	for (u32 looks = 0; !smp_load_acquire(&gates.start); looks++) {
		if (is_over(since))
			return;
		give_core(looks);
	}
	while (machine_cycles() < gates.start + gates.skew[place != 0])
		;
}

static bool is_in(enum gate_area area, u64 addr)
{
	const struct region *stacks = &the_machine->region[REGION_STACKS];
	bool in_stacks = addr - ARENA_BASE - stacks->offset < stacks->size;
	bool in_machine = addr - ARENA_BASE < sizeof(struct machine);

	switch (area) {
	case GATE_IN_STACKS:
		return in_stacks;
	case GATE_IN_MACHINE:
		return in_machine;
	case GATE_ELSEWHERE:
		return !in_stacks && !in_machine;
	case GATE_ANYWHERE:
		break;
	}
	return true;
}

static bool is_at(const struct gate *gate, u64 pc, u64 addr)
{
	if (gate->kind == GATE_STOP)
		return true;
	for (u32 n = 0; n < GATE_SITES && gate->site[n]; n++) {
		if (gate->site[n] == pc)
			return gate->addr ? gate->addr == addr : is_in(gate->area, addr);
	}
	return false;
}

/* Returns the gate that follows at the same access, or NULL. */
static const struct gate *come_to(struct gate_cpu *self, const struct gate *gate, u64 addr,
				  u32 size)
{
	struct cpu *cpu = this_cpu();

	self->next = gate->next;
	self->count = 0;
	self->passed++;
	if (gate->kind == GATE_NOTE) {
		raise_irqs(cpu, gate->sources);
		return NULL;
	}
	end_turn(self);
	wait_for_turn(gate->turn);
	self->turn = gate->turn + 1;
	raise_irqs(cpu, gate->sources);
	switch (gate->kind) {
	case GATE_IRQ:
		take_irqs(cpu);
		break;
	case GATE_STAY:
		stay(self, addr, size);
		break;
	case GATE_MEET:
		meet(addr, size);
		break;
	case GATE_START:
		start(self);
		break;
	}
	if (!self->next || !gates.gate[self->next - 1].follows)
		return NULL;
	return &gates.gate[self->next - 1];
}

void gate_slowpath(u64 pc, u64 addr, u32 size)
{
	int saved = errno;
	struct cpu *cpu = this_cpu();
	struct gate_cpu *self;
	const struct gate *gate;

	if (!cpu)
		return;
	self = &gates.cpu[cpu->id];
	if (READ_ONCE(gates.open) || !self->next) {
		if (holds_irqs)
			hold_irqs(false);
		errno = saved;
		return;
	}
	gate = &gates.gate[self->next - 1];
	if (!is_at(gate, pc, addr) || ++self->count < gate->nth)
		return;
	while (gate)
		gate = come_to(self, gate, addr, size);
	errno = saved;
}

void gate_rest(void)
{
	struct cpu *cpu = this_cpu();

	if (cpu && READ_ONCE(gates.armed) && !READ_ONCE(cpu->irq_pending))
		end_turn(&gates.cpu[cpu->id]);
}

void gate_begin_task(void)
{
	u64 bit = 1UL << smp_processor_id();

	if (gates.cpu[smp_processor_id()].next)
		hold_irqs(true);
	if ((atomic_fetch_or(bit, &gates.arrived) | bit) == gates.cpus)
		WRITE_ONCE(gates.armed, 1);
	for (u32 looks = 0; !READ_ONCE(gates.armed); looks++)
		give_core(looks);
}
