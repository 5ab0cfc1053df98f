// SPDX-License-Identifier: MIT
/*
 * The state of the machine in 64 bits: what is committed in memory, the store
 * buffers, where each CPU will go on, and what it is about to do.
 *
 * Memory is hashed by what differs from the snapshot, and only what was written
 * since the last look is hashed again: the undo log has it. Where a CPU will go
 * on is the used part of its stack; all registers that matter are there, since
 * the switch from fiber to fiber keeps none. What lies dead in a stack can make
 * one state look like two, never two like one.
 *
 * Left out is what only says how the machine came here: numbers of operations,
 * stores and commits, what time it is, and who spins.
 */
#include "exhaustive/state.h"

#include "detectors/outcome_set.h"
#include "programs/pthread_program.h"
#include "text/text.h"

extern struct text_state text_state __attribute__((weak));

#define FACTOR 0x9e3779b97f4a7c15UL
#define MAX_WORDS 65536       /* of eight bytes, written in one run; a power of two */
#define SPARE 4096            /* bytes below the deepest stack pointer seen that are cleared */
#define SPARE_AT_FIRST 16384 /* likewise, of whatever was done before the search */
#define CALLS 256             /* bytes below a stack pointer that calls of one step come to */

/* A word that was written in this run, as committed. */
struct word {
	u64 addr;
	u64 snapshot;         /* what it was when the run began, as far as noted */
	u64 noted;            /* bytes of it */
	u64 now;              /* hash of what it is */
	bool looked_at;       /* now is valid */
	u64 run;              /* in which it was written */
};

static struct word words[MAX_WORDS];
static u32 nr_words;
static u64 memory;            /* sum over all words of their difference */
static u32 nr_seen;           /* of the undo log */
static u64 run;
static u64 deepest[MAX_FIBERS]; /* stack pointer; 0 = never ran */

static inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * FACTOR;
	return hash ^ hash >> 29;
}

static inline u64 hash_word(u64 addr, u64 value)
{
	u64 hash = mix(mix(FACTOR, addr), value);

	return hash * (FACTOR ^ hash >> 32);
}

static struct word *word_at(u64 addr)
{
	u32 place = (addr * FACTOR) >> 40;

	for (;; place++) {
		struct word *word = &words[place % MAX_WORDS];

		if (word->run != run) {
			if (nr_words++ == MAX_WORDS / 2)
				engine_end(RUN_BOUND);
			word->run = run;
			word->addr = addr;
			word->snapshot = word->noted = 0;
			word->looked_at = false;
			return word;
		}
		if (word->addr == addr)
			return word;
	}
}

/* @undo is the next one of the log: it has what bytes were that it is the first for. */
static void note_snapshot(u64 addr, const struct undo *undo)
{
	struct word *word = word_at(addr);

	for (u32 byte = 0; !word->looked_at && byte < undo->size; byte++) {
		u64 at = undo->addr + byte - addr;

		if (at >= 8 || word->noted >> (8 * at) & 0xff)
			continue;
		word->noted |= 0xffUL << (8 * at);
		word->snapshot |= (undo->old >> (8 * byte) & 0xff) << (8 * at);
	}
}

/* When a task began to wait, for reports. */
static inline bool is_time(u64 addr)
{
	u64 place = addr - (u64)&the_machine->task[0];

	return place < sizeof(the_machine->task) &&
	       place % sizeof(struct task_struct) == offsetof(struct task_struct, wait.since);
}

/* How often something happened, for who watches. */
static inline bool is_counter(u64 addr)
{
	u64 place = addr - (u64)&the_machine->cpu[0];

	if (addr - engine.statistics < engine.statistics_size)
		return true;
	place %= sizeof(struct cpu);
	return addr - (u64)&the_machine->cpu[0] < sizeof(the_machine->cpu) &&
	       place - offsetof(struct cpu, nr_irqs) <=
	       offsetof(struct cpu, nr_spurious) - offsetof(struct cpu, nr_irqs);
}

static void look_at_word(u64 addr)
{
	if (is_time(addr) || is_counter(addr))
		return;

	struct word *word = word_at(addr);
	u64 value = *(volatile u64 *)addr, hash = hash_word(addr, value);

	if (!word->looked_at)
		word->now = hash_word(addr, (value & ~word->noted) | word->snapshot);
	word->looked_at = true;
	memory += hash - word->now;
	word->now = hash;
}

static void look_at_memory(void)
{
	for (u32 n = nr_seen; n < engine.nr_undo; n++) {
		const struct undo *undo = &undo_log[n];
		u64 last = undo->addr + undo->size - 1;

		note_snapshot(undo->addr & ~7UL, undo);
		if ((undo->addr ^ last) & ~7UL)
			note_snapshot(last & ~7UL, undo);
	}
	for (; nr_seen < engine.nr_undo; nr_seen++) {
		const struct undo *undo = &undo_log[nr_seen];
		u64 last = undo->addr + undo->size - 1;

		look_at_word(undo->addr & ~7UL);
		if ((undo->addr ^ last) & ~7UL)
			look_at_word(last & ~7UL);
	}
}

static u64 hash_fiber(struct fiber *fiber)
{
	u64 hash = mix(FACTOR, fiber->ip), top = fiber->stack + fiber->size;
	u32 index = fiber - fibers;

	if (!deepest[index] || fiber->sp < deepest[index])
		deepest[index] = fiber->sp;
	for (u64 at = fiber->sp; at < top; at += 8)
		hash = mix(hash, *(volatile u64 *)at);
	return mix(mix(hash, fiber->sp), fiber->published);
}

static u64 hash_cpu(struct vcpu *cpu)
{
	const struct pending *pending = &cpu->pending;
	u64 hash = mix(FACTOR, cpu->id);

	for (u32 n = 0; n < cpu->count; n++) {
		const struct store *store = nth_store(cpu, n);

		hash = mix(mix(mix(hash, store->addr), store->value), store->size);
	}
	hash = mix(hash, cpu->count | (u64)cpu->ticks << 32);
	hash = mix(mix(hash, cpu->irq_depth), cpu->arrivals);
	if (cpu->fresh_size)
		hash = mix(hash, cpu->fresh_start);
	if (engine.exited >> cpu->id & 1)
		return hash;
	hash = mix(mix(mix(hash, pending->pc), pending->addr), pending->size | pending->kind << 8);
	if (pending->kind == EVENT_KIND_AWAIT || pending->kind == EVENT_KIND_JOIN)
		hash = mix(hash, pending->bits ? pending->bits | 1UL << 63 : pending->value);
	return mix(hash, engine.commits - cpu->commits != cpu->relax_seen);
}

/* A thread that has come to its end is what it returns; one CPU each. */
static u64 hash_threads(void)
{
	u64 hash = 0;

	for (u32 n = 0; n < engine.nr_cpus; n++) {
		if (engine.exited >> n & 1 || engine.vcpu[n].pending.kind == EVENT_KIND_EXIT)
			hash = mix(hash, (u64)threads[n].result);
		else
			hash = mix(hash, hash_fiber(&fibers[n]));
	}
	return hash;
}

/* Tasks of a kernel that have run; of the others it may be known where their stack is. */
static u64 hash_tasks(void)
{
	u64 hash = 0;

	for (u32 n = 0; n < MAX_FIBERS; n++) {
		if (fibers[n].touched)
			hash = mix(hash, mix(hash_fiber(&fibers[n]), n));
		else if (fibers[n].published)
			hash = mix(hash, n);
	}
	return hash;
}

/* What CPUs may still fetch, and which instructions there are or were. */
static u64 hash_text(void)
{
	const struct text_state *text = &text_state;
	u64 hash = text->nr_writes;

	for (u32 n = 0; n < text->nr_writes; n++)
		hash = mix(mix(hash, text->write[n].old),
			   text->write[n].value ^ (u64)text->write[n].at << 32);
	for (u32 n = 0; text->nr_writes && n < engine.nr_cpus; n++)
		hash = mix(hash, engine.vcpu[n].text_seen);
	for (u32 n = 0; n < text->nr_known; n++)
		hash = mix(hash, text->known[n].at | (u64)text->known[n].length << 32 |
				 (u64)text->known[n].owners << 40);
	for (u32 n = 0; n < text->nr_owners; n++)
		hash = mix(hash, text->owner[n].at | (u64)text->owner[n].size << 32 |
				 (u64)text->owner[n].freed << 63);
	return hash;
}

static void clear(u64 from, u64 to)
{
	__builtin_memset((void *)from, 0, to - from);
}

/*
 * What earlier runs have left in a stack, as far as calls have come: all of it in one that
 * is made anew, or restored because it was used; else what lies below.
 */
static void clear_stack(struct fiber *fiber, u64 spare)
{
	bool is_kernel = program != &pthread_program;
	u64 top = fiber->stack + fiber->size, used = deepest[fiber - fibers];
	u64 from = (used ? used : is_kernel ? fiber->sp : top) - spare;

	if (from - fiber->stack >= fiber->size)
		from = fiber->stack;
	if (!is_kernel || fiber->touched)
		clear(from, top);
	else if (fiber->sp - fiber->stack < fiber->size && from < fiber->sp)
		clear(from, fiber->sp);
}

void state_begin(bool first)
{
	run++;
	nr_words = 0;
	nr_seen = 0;
	memory = 0;
	for (u32 n = 0; n < MAX_FIBERS; n++) {
		if (fibers[n].size && (first || deepest[n]))
			clear_stack(&fibers[n], first ? SPARE_AT_FIRST : SPARE);
	}
}

void state_settle(void)
{
	if (engine.cpu)
		clear(engine.cpu->fiber->sp - CALLS, engine.cpu->fiber->sp);
}

u64 state_hash(void)
{
	u64 hash;

	view_take_back();
	look_at_memory();
	hash = mix(memory, engine.exited | engine.irqs << 16 | engine.ticking << 32 |
			   (u64)engine.assumed << 48);
	for (u32 n = 0; n < engine.nr_cpus; n++)
		hash = mix(hash, hash_cpu(&engine.vcpu[n]));
	hash = mix(hash, program == &pthread_program ? hash_threads() : hash_tasks());
	hash = mix(hash, outcome_so_far());
	if (&text_state)
		hash = mix(hash, hash_text());
	return hash ? hash : 1;
}
