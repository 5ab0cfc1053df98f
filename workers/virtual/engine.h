/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine: CPUs are fibers of one thread, one of them runs, and at
 * every operation that another CPU could notice a strategy says who goes on.
 *
 * Memory always shows the view of one CPU: what is committed, with the stores
 * of that CPU's buffer on top. engine.view says whose. Compiled code stores
 * straight to memory; what was there before is kept in the buffer's entry, so
 * the store can be taken back when another CPU gets the view.
 *
 * Nothing here is shared with another thread, and nothing is allocated while a
 * program is explored.
 */
#ifndef VIRTUAL_ENGINE_H
#define VIRTUAL_ENGINE_H

#include <compiler.h>
#include <shm_layout/explore.h>
#include <shm_layout/machine.h>

#define CPU_BITS 0xffffUL
#define AGENT_BIT(kind, cpu) (1UL << AGENT(kind, cpu))
#define NO_CPU 255u
#define DEFAULT_STORES 8      /* of a buffer */

/* A stack that can be left and entered again. */
struct fiber {
	u64 sp, ip;           /* while it does not run */
	u64 pc;               /* where it left its own code, when its CPU went to another task */
	u64 stack;            /* lowest byte */
	u64 size;             /* bytes */
	u32 cpu;              /* that it belongs to */
	u32 index;            /* task or thread, for reports */
	u32 published;        /* 1 = another fiber may know an address in its stack */
	u32 touched;          /* 1 = ran since the snapshot */
	u64 private_start;    /* what only this fiber's code accesses: no points */
	u64 private_size;     /* bytes */
	u64 own_start;        /* likewise, elsewhere: struct explored_task says what */
	u64 own_size;         /* bytes */
	u64 notes_start;      /* of the former, what no interrupt looks at */
	u64 notes_size;       /* bytes */
	u64 restored;         /* bit n: interrupts leave word n from private_start as it was */
};

/* A store on its way from a CPU to memory. */
struct store {
	u64 addr;
	u64 old;              /* what is below it in memory, while its CPU has the view */
	u64 value;            /* what it writes, while its CPU has not */
	u64 pc;
	u32 size;             /* bytes, 1..8 */
	u32 shown;            /* place in result.shown[] + 1; 0 = not shown */
	u32 number;           /* of this CPU's stores, counted over the run */
	u32 released;         /* 1 = carries a clock: see race.c */
};

/* The operation that a CPU does when it is next given a step. */
struct pending {
	u64 addr;
	u64 value;            /* AWAIT: go on when the word is not this; JOIN: cpu */
	u32 bits;             /* AWAIT: or if not 0, when none of them is set */
	u64 pc;
	u8 size;
	u8 kind;              /* enum event_kind */
	u8 forwarded;         /* load: its own buffer holds all of it */
};

struct vcpu {
	struct pending pending;
	struct fiber *fiber;  /* the one that runs, or will when this CPU does */
	u32 id;
	u32 events;           /* operations done; the place of an intervention */
	u32 picks;            /* choices of data that came to 0 since the last intervention here */
	u32 picks_event;      /* @events when they did */
	u32 head, count;      /* of buffer[] */
	u32 stores;           /* made in this run */
	u32 commits;          /* of its own stores and locked operations */
	u32 relax_seen;       /* commits of others when it last relaxed */
	u32 idle_reads;       /* loads since anything changed: it may be spinning */
	u32 deliver;          /* DELIVER_*: take an interrupt before going on */
	u32 irq_depth;
	u32 ticks;            /* timer interrupts left */
	u64 arrivals;         /* interrupts of devices, and NMIs, left: a byte for each line */
	u32 text_seen;        /* writes to text that it has synchronized to; see text/ */
	u64 private_start;    /* what only this CPU's own code accesses: no points */
	u64 private_size;     /* bytes */
	u64 owned_size;       /* bytes from private_start that only its own code writes */
	u64 restored;         /* bit n: interrupts leave word n from private_start as it was */
	u64 fresh_start;      /* an object that was allocated here, and that nobody else knows */
	u64 fresh_size;       /* bytes; 0 = none */
	const struct fiber *fresh_of; /* whose code allocated it */
	const u32 *irq_off;   /* 0 = interrupts can be taken; NULL = there are none */
	u64 guards_size;      /* 8: while those bytes are 0, an interrupt may do anything; or 0 */
	struct store buffer[VIRTUAL_STORES];
} __cacheline_aligned;

/* How CPUs with an operating system are interrupted; NULL members = they are not. */
struct interrupts {
	bool (*enabled)(u32 cpu);
	void (*take)(u32 cpu);      /* runs on the CPU's fiber, handlers and all */
	/* What can interrupt @cpu now: bit 0 = its timer, the others are its lines. */
	u32 (*sources)(u32 cpu);
	/* One of them does. True = it is an NMI: the CPU takes it before it does anything else. */
	bool (*arrive)(u32 cpu, u32 source);
	void (*take_nmi)(u32 cpu);
};

#define DELIVER_IRQ 1
#define DELIVER_NMI 2
#define DELIVER_ANY 3         /* one of several sources: which, is a choice of data */

struct strategy {
	const char *name;
	bool every_step;      /* asked even when there is only one agent */
	bool patient;         /* an assumption that fails stops its CPU, not yet the run */
	bool watches;         /* wants to know which words are shared: see interest.h */
	bool outside;         /* asked while every CPU stands still, on a stack of its own */
	void (*begin)(u64 run);
	/* The agent of the next step, one of @enabled (never 0). */
	u32 (*choose)(u64 enabled);
	/* Which of @options the data of @cpu is. NULL = always 0, the default. */
	u32 (*pick)(struct vcpu *cpu, u32 options);
	/* @cpu passed a fence, join, or exit: no choice, but an order. NULL = not told. */
	void (*passed)(u32 cpu, u32 kind, u64 value);
	void (*created)(u32 parent, u32 child);
	/* True: there is another run to do. NULL = always. */
	bool (*end)(enum run_end end);
};

/* An instruction of text that came to no end. */
struct text_crash {
	const struct pt_regs *regs; /* before it; ip is where it stands */
	u64 frame;            /* of the code that called the text */
};

#define DETOUR_STARTER 0x1    /* engine.starter is set */
#define DETOUR_OUTSIDE 0x2    /* the director asks the strategy */
#define DETOUR_STUCK 0x4      /* who is entered is to look what there is to do */

struct engine {
	struct vcpu *cpu;     /* that runs; NULL = the engine itself */
	u32 view;             /* whose stores memory shows; NO_CPU = only what is committed */
	u32 current;          /* CPU that took the last step */
	u64 ready;            /* CPUs whose operation can be done */
	u64 blocked;          /* CPUs that wait for something */
	u64 recheck;          /* of those: something has changed for them */
	u64 watching;         /* of those: any write may be what they wait for */
	u64 drains;           /* agents with a store to commit */
	u64 irqs;             /* CPUs (bits 0..) with an interrupt pending, masked or not */
	u64 ticking;          /* CPUs that something may still interrupt: their timer, a line */
	u64 nmis;             /* of those: by an NMI, whatever they do */
	u64 exited;           /* CPUs that have ended */
	u32 limit;            /* stores that a buffer holds; 0 = no buffers */
	u32 nr_cpus;
	u32 commits;          /* of all CPUs */
	u32 steps;
	u32 max_steps;
	u32 drained;          /* CPU whose store was the last to leave by a step of its own */
	u32 nobody;           /* choices without a CPU that could go on */
	u32 nr_choices;
	u32 nr_made;          /* interventions of this run */
	u32 nr_undo;
	u32 races;            /* look for data races */
	u32 show;             /* write events */
	u32 booting;          /* no choices: the machine is brought up */
	u32 assumed;          /* a CPU has stopped where its assumption failed */
	enum run_end end;
	u64 trail;            /* hash of what has happened */
	u64 spinning;         /* CPUs that only read, again and again */
	const struct strategy *strategy;
	struct interrupts interrupts;
	struct fiber *starter;/* waits for a new fiber's first operation */
	u32 detour;           /* DETOUR_*: a step is not as simple as that */
	u64 stacks;           /* all fibers' stacks: address, bytes, bytes of each */
	u64 stacks_size, stack_stride;
	u64 locals;           /* bytes at the top of each stack: see thread_local.h; 0 = none */
	u64 locals_base;      /* where %fs points to: bytes from the start of the stack */
	u64 rodata_end;       /* nothing below is ever written */
	u64 constant[2];      /* start of what is not written after boot, kernel programs */
	u64 constant_size[2]; /* bytes */
	u64 tables;           /* what table_constants[] is about; TABLES_BYTES */
	u64 statistics, statistics_size; /* counters by which nobody decides anything */
	u32 surprised;        /* text was patched that never was before: see versions.c */
	u32 left_out;         /* 1 = a timer could have come where it was not tried */
	u64 text_start, text_size; /* the writable alias of text; bytes */
	/* So many bytes of it have reached memory. */
	void (*wrote_text)(u64 addr, u32 size, u64 value);
	/* A signal came at @ip: did an instruction of text run there? NULL = no text. */
	bool (*text_interrupted)(u64 ip, struct text_crash *crash);
	/* Into @finding: text around regs.ip, with @fetched (FETCH_BYTES; or NULL) there. */
	void (*text_bytes)(struct finding *finding, const u8 *fetched);
	struct fiber home;    /* the engine's own stack */
	u64 decisions;        /* since the job began */
	u64 total_steps;
	struct vcpu vcpu[VIRTUAL_CPUS];
};

extern struct engine engine;
#define MAX_FIBERS MAX_TASKS
extern struct fiber fibers[MAX_FIBERS];
extern struct cpu *machine_this_cpu;
extern struct intervention made[MAX_INTERVENTIONS];

static inline u64 load_word(u64 addr, u32 size)
{
	u64 value = 0;

	if (likely(size == 4))
		return *(volatile u32 *)addr;
	if (likely(size == 8))
		return *(volatile u64 *)addr;
	for (u32 n = 0; n < size; n++)
		value |= (u64)((volatile u8 *)addr)[n] << (8 * n);
	return value;
}

static inline void store_word(u64 addr, u32 size, u64 value)
{
	if (likely(size == 4)) {
		*(volatile u32 *)addr = value;
		return;
	}
	if (likely(size == 8)) {
		*(volatile u64 *)addr = value;
		return;
	}
	for (u32 n = 0; n < size; n++)
		((volatile u8 *)addr)[n] = value >> (8 * n);
}

/* Does an AWAIT of @value or @bits go on when its word is @word? */
static inline bool ends_wait(u64 word, u64 value, u32 bits)
{
	return bits ? !(word & bits) : word != value;
}

static inline struct store *oldest_store(struct vcpu *cpu)
{
	return &cpu->buffer[cpu->head % VIRTUAL_STORES];
}

static inline struct store *nth_store(struct vcpu *cpu, u32 n)
{
	return &cpu->buffer[(cpu->head + n) % VIRTUAL_STORES];
}

static inline bool overlap(u64 a, u32 size_a, u64 b, u32 size_b)
{
	return a < b + size_b && b < a + size_a;
}

/* engine.c: do one run with engine.strategy from the snapshot; memory is as before afterwards. */
enum run_end engine_run(void);
/* The run is over. Does not return. */
void engine_end(enum run_end end) __attribute__((noreturn));
/* The CPU's operation is written into cpu->pending: let others go first, then do it. */
void engine_step(struct vcpu *cpu);
/* The same, on a stack that holds nothing below this call. */
void engine_step_aside(struct vcpu *cpu);
/* Can @cpu do its pending operation now? */
bool engine_is_enabled(struct vcpu *cpu);
/*
 * A choice of data: the strategy says which of @options (2..MAX_PICKS) it is; 0 is the default.
 * Called in the middle of the CPU's operation, after engine_step() has returned; what it is
 * called for is shown at the operation's pc. While no choices are made it returns 0.
 */
u32 engine_pick(struct vcpu *cpu, u32 options);
/* The agent that goes when nothing is said. */
u32 engine_default(u64 enabled);
/* The value of a word as @cpu sees it, whoever has the view. */
u64 engine_value(struct vcpu *cpu, u64 addr, u32 size);
/* @cpu leaves its fiber, whose own code stands at @pc, for @next; returns when it is back. */
void engine_switch_fiber(struct vcpu *cpu, struct fiber *next, u64 pc);
/* @cpu has ended: the others go on. Does not return. */
void engine_leave(struct vcpu *cpu) __attribute__((noreturn));
void vcpu_reset(struct vcpu *cpu);
/* Run new @child until its first operation is known. */
void engine_start_cpu(struct vcpu *child);

/* What is explored: a pthread program (pthread.c), or tasks on a kernel (kernel.c). */
struct program {
	const char *name;
	/* Once: make the snapshot that every run begins from. 0 or -errno. */
	int (*prepare)(void);
	/* Put CPUs and fibers where the snapshot has them; engine.current runs first. */
	void (*begin)(void);
	/* No agent is enabled. True = the run is over, as @end; false = look again. */
	bool (*stuck)(enum run_end *end);
	/* Who waits, in a deadlock: at most VIRTUAL_CPUS; how many. NULL = its CPUs do. */
	u32 (*find_waiting)(struct waiting *waiting);
};

extern const struct program *program;
extern const struct program pthread_program, kernel_program;

/* store_buffer.c */
void buffer_commit(struct vcpu *cpu);
u64 stack_bound(struct fiber *fiber);
void view_take_back_stores(void);
void view_show_stores(struct vcpu *cpu);
void undo_all(void);
/* A store of @cpu has become visible to all: @value is in memory. */
void committed(struct vcpu *cpu, u64 addr, u32 size, u64 value);

#define MAX_UNDO (1u << 20)

/* What was in memory before it was written; newest last. */
extern struct undo {
	u64 addr;
	u64 old;
	u64 size;
} undo_log[MAX_UNDO];

static inline void undo_push(u64 addr, u32 size, u64 old)
{
	struct undo *undo = &undo_log[engine.nr_undo];

	if (unlikely(engine.nr_undo == MAX_UNDO))
		engine_end(RUN_BOUND);
	undo->addr = addr;
	undo->old = old;
	undo->size = size;
	engine.nr_undo++;
}

/*
 * Is an address in the stack that @cpu runs on, which has the view, on its way to memory?
 * One in its fresh object ends that.
 */
bool buffer_publishes(struct vcpu *cpu);

/* The CPU that has the view stores to @addr as soon as this returns. There is room. */
static inline void buffer_push(struct vcpu *cpu, u64 addr, u32 size, u64 pc)
{
	struct store *store = nth_store(cpu, cpu->count);

	store->addr = addr;
	store->old = load_word(addr, size);
	store->pc = pc;
	store->size = size;
	store->shown = 0;
	store->number = cpu->stores++;
	store->released = 0;
	cpu->count++;
	engine.drains |= AGENT_BIT(AGENT_DRAIN, cpu->id);
}

/* True if the newest stores of its own buffer hold all of the word. */
static inline bool is_forwarded(struct vcpu *cpu, u64 addr, u32 size)
{
	u32 left = (1u << size) - 1;

	for (u32 n = cpu->count; n-- && left; ) {
		const struct store *store = nth_store(cpu, n);

		for (u32 byte = 0; byte < size; byte++) {
			if (addr + byte - store->addr < store->size)
				left &= ~(1u << byte);
		}
	}
	return !left;
}

/* Memory shows no CPU's buffer any more. */
static inline void view_take_back(void)
{
	if (engine.view == NO_CPU)
		return;
	if (engine.vcpu[engine.view].count)
		view_take_back_stores();
	engine.view = NO_CPU;
}

/* Memory shows what @cpu sees. */
static inline void view_show(struct vcpu *cpu)
{
	if (engine.view == cpu->id)
		return;
	view_take_back();
	engine.view = cpu->id;
	if (cpu->count)
		view_show_stores(cpu);
}

/* What an agent would do next. */
static inline struct pending *agent_pending(u32 agent, struct pending *scratch)
{
	struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];
	struct store *store;

	switch (AGENT_KIND(agent)) {
	case AGENT_CPU:
		return &cpu->pending;
	case AGENT_DRAIN:
		store = oldest_store(cpu);
		*scratch = (struct pending){ .addr = store->addr, .size = store->size,
					     .kind = EVENT_KIND_DRAIN, .pc = store->pc };
		return scratch;
	case AGENT_IRQ:
		*scratch = (struct pending){ .kind = EVENT_KIND_IRQ };
		return scratch;
	}
	*scratch = (struct pending){ .kind = EVENT_KIND_TICK };
	return scratch;
}

/* No other agent exists or can come to exist before this CPU makes one. */
static inline bool is_alone(void)
{
	return !(engine.ready | engine.blocked | engine.drains | engine.irqs | engine.ticking) &&
	       !engine.starter;
}

static inline void engine_point(u32 kind, u64 addr, u32 size, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (is_alone() && engine.steps < engine.max_steps &&
	    1u << kind & (1u << EVENT_KIND_LOAD | 1u << EVENT_KIND_STORE | 1u << EVENT_KIND_RMW)) {
		engine.steps++;
		return;
	}
	cpu->pending.addr = addr;
	cpu->pending.pc = pc;
	cpu->pending.size = size;
	cpu->pending.kind = kind;
	if (unlikely(engine.detour & DETOUR_OUTSIDE))
		engine_step_aside(cpu);
	else
		engine_step(cpu);
}

#endif
