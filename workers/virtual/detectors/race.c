// SPDX-License-Identifier: MIT
/*
 * Vector clocks: a CPU's own entry counts what it has released, the others say
 * how far it has seen each other CPU (Flanagan and Freund, PLDI 2009, from which
 * the names of the parts come). An access is ordered after a recorded one if it
 * has seen the epoch of that one.
 *
 * Accesses are judged in the order of each program, so a race is found wherever
 * the store buffers happen to be. What a store publishes is read from memory, so
 * it is attached to a place only when the store commits.
 *
 * An access that reads from nobody, but is known to have come before a store,
 * orders nothing here: a program cannot make use of it without a second
 * observation, which does.
 */
#include "detectors/race_clock.h"
#include "detectors/report.h"
#include "detectors/show.h"

#define NR_CELLS (1u << 16)
#define CELL_RECORDS 7
#define MAX_RECORDS 71
#define NR_OVERFLOWS 1024
#define NR_SNAPSHOTS (1u << 16)
/* One access that later ones may race with. */
struct record {
	u64 pc;
	union {
		struct {
			u32 clock; /* of its CPU, then */
			u8 cpu;
			u8 mask;   /* bytes of the cell */
			u8 kind;   /* ACCESS_* */
			u8 pad;
		};
		u64 word;          /* all of it: one store, and one load later */
	};
};

/* Eight bytes of memory. */
struct cell {
	u64 granule;          /* address / 8; 0 = not in use */
	u32 run;              /* that the rest is of */
	u32 overflow;         /* place in overflows[] + 1 */
	u8 count;             /* of records */
	u8 synced;            /* 1 = syncs[] of this cell is valid */
	u8 plain;             /* ACCESS_PLAIN = one of the accesses was */
	u8 pad[5];
	struct record record[CELL_RECORDS];
} __attribute__((aligned(64)));

/* What a CPU has besides its clock. */
struct state {
	u32 run;
	u32 fence;            /* snapshot at its last release fence + 1; 0 = none */
	u32 has_reads;        /* 1 = reads is valid */
	struct clock reads;   /* of what relaxed loads have read from: for an acquire fence */
} __attribute__((aligned(64)));

struct clock clocks[VIRTUAL_CPUS];
static struct state states[VIRTUAL_CPUS];
static struct cell cells[NR_CELLS];
static u32 syncs[NR_CELLS][8];        /* snapshot + 1 that each byte of a cell carries; 0 = none */
static struct record overflows[NR_OVERFLOWS][MAX_RECORDS - CELL_RECORDS];
struct clock snapshots[NR_SNAPSHOTS];
u32 race_run, race_width;
static u32 nr_cells, nr_overflows, nr_snapshots;
u32 race_synced;

static inline void begin_cpu(u32 cpu, const struct clock *clock)
{
	struct state *state = &states[cpu];

	if (unlikely(race_width <= cpu))
		race_width = cpu + 1;
	state->run = race_run;
	state->fence = state->has_reads = nr_dependencies[cpu] = 0;
	copy_clock(&clocks[cpu], clock);
	clocks[cpu].at[cpu]++;
}

static noinline void forget_all(void)
{
	for (u32 n = 0; n < NR_CELLS; n++)
		cells[n].granule = 0;
	nr_cells = 0;
	forget_objects();
}

void race_begin(void)
{
	static const struct clock nothing;

	/* Everything is marked with its run; the number of runs comes round at last. */
	if (unlikely(!++race_run || nr_cells > NR_CELLS / 2 || too_many_objects())) {
		forget_all();
		race_run = race_run ? race_run : 1;
	}
	nr_overflows = nr_snapshots = race_synced = race_visited = 0;
	for (u32 n = 0; n < engine.nr_cpus; n++)
		begin_cpu(n, &nothing);
}

/* Another cell has its place, or it is new. */
static noinline struct cell *find_other_cell(u64 granule, u32 place)
{
	while (cells[place].granule && cells[place].granule != granule)
		place = (place + 1) % NR_CELLS;
	if (!cells[place].granule) {
		if (++nr_cells > NR_CELLS - NR_CELLS / 8)
			engine_end(RUN_BOUND);
		cells[place].granule = granule;
		cells[place].run = race_run - 1;
	}
	return &cells[place];
}

static inline struct cell *find_cell(u64 granule)
{
	u32 place = (granule ^ granule >> 16) % NR_CELLS;

	if (likely(cells[place].granule == granule))
		return &cells[place];
	return find_other_cell(granule, place);
}

static inline void renew(struct cell *cell)
{
	cell->run = race_run;
	cell->count = cell->synced = cell->plain = 0;
	cell->overflow = 0;
}

static inline struct record *nth_record(struct cell *cell, u32 n)
{
	if (likely(n < CELL_RECORDS))
		return &cell->record[n];
	return &overflows[cell->overflow - 1][n - CELL_RECORDS];
}

static void add_record(struct cell *cell, const struct record *record)
{
	if (cell->count == CELL_RECORDS && !cell->overflow) {
		if (nr_overflows == NR_OVERFLOWS)
			engine_end(RUN_BOUND);
		cell->overflow = ++nr_overflows;
	}
	if (cell->count == MAX_RECORDS)
		engine_end(RUN_BOUND);
	*nth_record(cell, cell->count++) = *record;
}

static noinline void __attribute__((noreturn))
report_race(u64 addr, const struct record *new, const struct cell *cell,
	    const struct record *record)
{
	u64 other_addr = cell->granule * 8 + __builtin_ctz(record->mask);
	const struct shown_event *event = NULL;
	struct side other = {
		.cpu = record->cpu,
		.task = engine.vcpu[record->cpu].fiber->index,
		.tsc = 1,
		.stack = { record->pc },
	};

	if (engine.show)
		event = show_find(record->cpu, record->pc, other_addr);
	if (event) {
		other.task = event->task;
		for (u32 n = 0; n < ARRAY_SIZE(event->caller); n++)
			other.stack[n + 1] = event->caller[n];
	}
	virtual_report(FINDING_DATA_RACE, new->pc, &other, addr, __builtin_popcount(new->mask),
		       new->kind, record->kind, other_addr, __builtin_popcount(record->mask));
}

/* Of two that overlap. */
static inline bool conflicts(const struct record *a, const struct record *b)
{
	u32 kinds = a->kind | b->kind;

	return kinds & ACCESS_WRITE && kinds & ACCESS_PLAIN;
}

/* Whatever races with @old and is yet to come also races with @new, which comes after it. */
static inline bool replaces(const struct record *new, const struct record *old)
{
	return !(old->mask & ~new->mask) &&
	       !(old->kind & ~new->kind & (ACCESS_WRITE | ACCESS_PLAIN));
}

static noinline void compare(struct vcpu *cpu, struct cell *cell, u64 pc, u64 word, u64 addr)
{
	const struct clock *clock = &clocks[cpu->id];
	const struct record new = { .pc = pc, .word = word };

	cell->plain |= new.kind & ACCESS_PLAIN;
	for (u32 n = cell->count; n--; ) {
		struct record *old = nth_record(cell, n);

		if (!(old->mask & new.mask))
			continue;
		if (old->clock <= clock->at[old->cpu] || old->cpu == cpu->id) {
			if (replaces(&new, old))
				*old = *nth_record(cell, --cell->count);
		} else if (conflicts(&new, old) &&
			   !is_by_dependency(cpu, addr, old->cpu, old->clock)) {
			report_race(addr, &new, cell, old);
		}
	}
	add_record(cell, &new);
}

/* True if there is nothing to compare with: only the newest of each kind is kept. */
static inline bool is_noted(struct cell *cell, u64 pc, u64 word)
{
	u32 n, count = cell->count;

	for (n = 0; n < count; n++) {
		if (cell->record[n].word >> 32 == word >> 32)
			break;
	}
	if (unlikely(n == CELL_RECORDS))
		return false;
	cell->count = n < count ? count : n + 1;
	cell->record[n].pc = pc;
	cell->record[n].word = word;
	return true;
}

static inline void access(struct vcpu *cpu, u64 addr, u32 size, u32 kind, u64 pc)
{
	struct cell *cell = find_cell(addr >> 3);
	u32 offset = addr & 7;
	u64 word = *own_time(cpu) | (u64)cpu->id << 32 |
		   (((1UL << size) - 1) << offset & 0xff) << 40 | (u64)kind << 48;

	if (unlikely(race_visited >> cpu->id & 1))
		check_visits(cpu, pc);
	if (cell->run != race_run)
		renew(cell);
	/* Marked accesses do not race with each other. */
	if ((kind & ACCESS_PLAIN) | cell->plain | (cell->count > CELL_RECORDS) ||
	    !is_noted(cell, pc, word))
		compare(cpu, cell, pc, word, addr);
	if (unlikely(offset + size > 8))
		access(cpu, (addr | 7) + 1, offset + size - 8, kind, pc);
}

/* What the CPU has done up to now, for others to acquire: place + 1. */
static u32 snapshot(struct vcpu *cpu)
{
	if (nr_snapshots == NR_SNAPSHOTS)
		engine_end(RUN_BOUND);
	copy_clock(&snapshots[nr_snapshots], &clocks[cpu->id]);
	++*own_time(cpu);
	return ++nr_snapshots;
}

/* Clocks of the bytes of @cell from now on; before there were none. */
static u32 *syncs_of(struct cell *cell)
{
	u32 *sync = syncs[cell - cells];

	if (cell->run != race_run)
		renew(cell);
	if (!cell->synced) {
		for (u32 n = 0; n < 8; n++)
			sync[n] = 0;
		cell->synced = 1;
	}
	return sync;
}

static inline bool has_sync(const struct cell *cell)
{
	return cell->run == race_run && cell->synced;
}

static void attach(u64 addr, u32 size, u32 released)
{
	struct cell *cell = find_cell(addr >> 3);
	u32 offset = addr & 7, *sync;

	race_synced |= released;
	if (offset + size > 8) {
		attach((addr | 7) + 1, offset + size - 8, released);
		size = 8 - offset;
	}
	if (!released && !has_sync(cell))
		return;
	sync = syncs_of(cell);
	for (u32 n = 0; n < size; n++)
		sync[offset + n] = released;
}

void race_carry(const struct store *store)
{
	attach(store->addr, store->size, store->released);
}

void race_store(struct vcpu *cpu, struct store *store, enum order order)
{
	u32 kind = order == ORDER_PLAIN ? ACCESS_WRITE | ACCESS_PLAIN : ACCESS_WRITE;

	access(cpu, store->addr, store->size, kind, store->pc);
	if (order >= ORDER_RELEASE)
		store->released = snapshot(cpu);
	else if (order != ORDER_PLAIN)
		store->released = states[cpu->id].fence;
}

/* True if a store that only this CPU sees yet gives the byte. */
static bool is_own(struct vcpu *cpu, u64 addr)
{
	for (u32 n = 0; n < cpu->count; n++) {
		const struct store *store = nth_store(cpu, n);

		if (addr - store->addr < store->size)
			return true;
	}
	return false;
}

/* A marked load has read from a store that carried a clock. */
static void read_from(struct vcpu *cpu, u32 from, bool now)
{
	struct state *state = &states[cpu->id];

	if (now) {
		join(&clocks[cpu->id], &snapshots[from - 1]);
		return;
	}
	if (!state->has_reads)
		copy_clock(&state->reads, &clocks[cpu->id]);
	state->has_reads = 1;
	join(&state->reads, &snapshots[from - 1]);
}

static noinline void acquire(struct vcpu *cpu, u64 addr, u32 size, bool now)
{
	struct cell *cell = find_cell(addr >> 3);
	u32 offset = addr & 7, last = 0, *sync = syncs[cell - cells];

	if (offset + size > 8) {
		acquire(cpu, (addr | 7) + 1, offset + size - 8, now);
		size = 8 - offset;
	}
	if (!has_sync(cell))
		return;
	for (u32 n = 0; n < size; n++) {
		u32 from = sync[offset + n];

		if (!from || from == last || is_own(cpu, addr + n))
			continue;
		last = from;
		read_from(cpu, from, now);
		if (size == 8 && !now)
			depend_on(cpu, load_word(addr, 8), from);
	}
}

void race_load(struct vcpu *cpu, u64 addr, u32 size, enum order order, u64 pc)
{
	access(cpu, addr, size, order == ORDER_PLAIN ? ACCESS_PLAIN : 0, pc);
	if (likely(!race_synced))
		return;
	if (size == 8 && nr_dependencies[cpu->id])
		follow(cpu, addr, load_word(addr, 8));
	if (order != ORDER_PLAIN)
		acquire(cpu, addr, size, order >= ORDER_ACQUIRE);
}

static void acquire_reads(struct vcpu *cpu)
{
	struct state *state = &states[cpu->id];

	if (state->has_reads)
		join(&clocks[cpu->id], &state->reads);
	state->has_reads = 0;
}

/* What the place has carried stays: a chain of locked operations passes it on. */
static u32 with_carried(struct vcpu *cpu, u64 addr, u32 released)
{
	struct cell *cell = find_cell(addr >> 3);
	u32 carried = has_sync(cell) ? syncs[cell - cells][addr & 7] : 0, both;

	if (!carried || !released)
		return carried | released;
	both = snapshot(cpu);
	copy_clock(&snapshots[both - 1], &snapshots[released - 1]);
	join(&snapshots[both - 1], &snapshots[carried - 1]);
	return both;
}

void race_rmw(struct vcpu *cpu, u64 addr, u32 size, enum order order, bool writes, u64 pc)
{
	struct state *state = &states[cpu->id];
	u32 released = state->fence;

	if (order == ORDER_FULL)
		acquire_reads(cpu);
	access(cpu, addr, size, ACCESS_LOCKED | (writes ? ACCESS_WRITE : 0), pc);
	if (race_synced)
		acquire(cpu, addr, size, order == ORDER_ACQUIRE || order == ORDER_FULL);
	if (!writes)
		return;
	if (order >= ORDER_RELEASE)
		released = snapshot(cpu);
	if (order == ORDER_FULL)
		state->fence = released;
	else
		released = with_carried(cpu, addr, released);
	if (released)
		attach(addr, size, released);
}

void race_fence(struct vcpu *cpu, enum order order)
{
	if (order == ORDER_ACQUIRE || order == ORDER_FULL)
		acquire_reads(cpu);
	if (order >= ORDER_RELEASE)
		states[cpu->id].fence = snapshot(cpu);
}

void race_edge(struct vcpu *from, struct vcpu *to)
{
	if (states[to->id].run == race_run)
		join(&clocks[to->id], &clocks[from->id]);
	else
		begin_cpu(to->id, &clocks[from->id]);
	++*own_time(from);
}

void race_forget(u64 addr, u64 size)
{
	for (u64 granule = addr >> 3; granule <= (addr + size - 1) >> 3; granule++) {
		struct cell *cell = find_cell(granule);

		if (size && cell->run == race_run)
			renew(cell);
	}
}
