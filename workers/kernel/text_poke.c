// SPDX-License-Identifier: MIT
/*
 * Two ways to replace instructions under running CPUs.
 *
 * int3: a breakpoint on the first byte, then the rest, then the first byte, and
 * after each phase every CPU is made to fetch anew. A CPU that meets the
 * breakpoint does what the new instruction does, from its description.
 *
 * stop_machine: every CPU stands with interrupts off while one writes.
 *
 * Where several instructions become one, a task may have been preempted between
 * them: it has to leave before their bytes are overwritten, whatever the way.
 */
#include <finding.h>
#include <irqflags.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/stop_machine.h>
#include <kernel/text_poke.h>
#include <memory.h>
#include <percpu.h>
#include <trace.h>
#include <x86/insn.h>
#include <x86/poke_insn.h>

#define MAX_WRITERS 4096      /* remembered at most; a power of two */

/* One instruction to be replaced. */
struct text_poke_loc {
	u64 addr;             /* text address */
	struct poke_insn insn;/* what a trap does meanwhile */
	u8 length;            /* bytes */
	u8 bytes[POKE_MAX_LENGTH];
	bool several;         /* more than one instruction stands there now */
};

/* Who wrote @length bytes at @addr last. Written under text_mutex, read by reports. */
struct text_writer {
	u64 addr;             /* 0 = none */
	u64 length;
	bool in_place;        /* no other CPU runs it, so none was made to fetch it anew */
	struct side side;
};

DEFINE_MUTEX(text_mutex);
struct poke_stats poke_stats __statistics;

/*
 * Queued replacements, sorted by address. Written under text_mutex while all
 * poke_refs are 0; a trap handler reads it while it holds a reference.
 */
static struct text_poke_loc poke_vec[POKE_MAX_BATCH];
static u32 poke_nr;

/*
 * Per CPU: 1 while a batch is under way, and 1 more for each handler that uses poke_vec.
 * It outlives every batch: a handler may look at it at any time.
 */
static DEFINE_PER_CPU(s32, poke_refs);

static struct text_writer text_writers[MAX_WRITERS]; /* by the low bits of addr */
static struct text_writer *newest_writer; /* NULL = nobody has written yet */

static void check_text_mutex(void)
{
	if (unlikely(!mutex_is_held(&text_mutex)))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       preempt_count(), irqs_disabled(), in_interrupt());
}

static void note_writer(u64 addr, size_t length, bool in_place)
{
	struct text_writer *writer = &text_writers[addr % MAX_WRITERS];

	machine_text_writing(addr, length);
	if (MACHINE_MODELS_FETCH)
		return;
	WRITE_ONCE(writer->addr, 0);
	smp_wmb(); /* Nobody's while it changes; pairs with text_last_writer(). */
	record_side(&writer->side);
	writer->length = length;
	writer->in_place = in_place;
	smp_store_release(&writer->addr, addr);
	smp_store_release(&newest_writer, writer);
}

const struct side *text_last_writer(u64 addr)
{
	if (MACHINE_MODELS_FETCH)
		return machine_text_writer(addr);
	for (u64 start = addr; addr - start < 16; start--) {
		const struct text_writer *writer = &text_writers[start % MAX_WRITERS];

		if (smp_load_acquire(&writer->addr) == start && addr - start < writer->length)
			return &writer->side;
	}
	return NULL;
}

const struct side *text_suspect(u64 ip)
{
	const struct side *writer = text_last_writer(ip);
	const struct text_writer *newest = smp_load_acquire(&newest_writer);

	return writer || !newest ? writer : &newest->side;
}

/* Byte by byte, and not at once: other CPUs may run what stands there in between. */
static void write_slowly(u8 *to, const u8 *bytes, size_t length)
{
	for (size_t n = 0; n < length; n++) {
		u64 start = machine_cycles();

		WRITE_ONCE(to[n], bytes[n]);
		while (n + 1 < length && machine_cycles() - start < the_machine->config.write_delay)
			barrier();
	}
}

/* In as few stores as there can be; CPUs fetch, and reports look, meanwhile. */
static void write_at_once(u8 *to, const u8 *bytes, size_t length)
{
	u64 word;
	u32 half;

	for (; length >= sizeof(word); length -= sizeof(word)) {
		copy_bytes(&word, bytes, sizeof(word));
		__atomic_store_n((u64 *)to, word, __ATOMIC_RELAXED);
		to += sizeof(word);
		bytes += sizeof(word);
	}
	if (length >= sizeof(half)) {
		copy_bytes(&half, bytes, sizeof(half));
		__atomic_store_n((u32 *)to, half, __ATOMIC_RELAXED);
		to += sizeof(half);
		bytes += sizeof(half);
		length -= sizeof(half);
	}
	for (; length; length--)
		WRITE_ONCE(*to++, *bytes++);
}

static void write_text(u64 addr, const u8 *bytes, size_t length)
{
	u64 shown = 0;

	copy_bytes(&shown, bytes, length < sizeof(shown) ? length : sizeof(shown));
	trace_event(EVENT_POKE, addr, shown);
	if (unlikely(the_machine->config.write_delay))
		write_slowly(text_alias(addr), bytes, length);
	else
		write_at_once(text_alias(addr), bytes, length);
	poke_stats.writes++;
}

/* Real hardware seldom shows it when a CPU was left out: so it is looked at. */
static void check_all_synced(const struct text_writer *writer)
{
	if (MACHINE_MODELS_FETCH)
		return;
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct side other;
		u64 synced;

		/* One that comes up fetches anew before it takes tasks, and one after the other. */
		if (!cpu_online(cpu) || READ_ONCE(cpu_at(cpu)->leaving))
			continue;
		synced = READ_ONCE(cpu_at(cpu)->synced);
		if (likely((s64)(synced - writer->side.tsc) >= 0))
			continue;
		other = side_of_cpu(cpu);
		report_finding(FINDING_UNSYNCED_TEXT, &other, writer->addr, cpu,
			       machine_cycles() - writer->side.tsc);
	}
}

static bool is_live(u64 addr)
{
	return !is_made_text(addr) && text_is_there(addr);
}

/* What @addr is a part of: something to be replaced, or an instruction. Returns its length. */
static u32 unit_around(u64 addr, u64 *start)
{
	for (u32 n = 0; n < poke_nr; n++) {
		*start = poke_vec[n].addr;
		if (addr - *start < poke_vec[n].length)
			return poke_vec[n].length;
	}
	for (*start = addr; is_text(*start) && addr - *start < MAX_INSN_LENGTH; --*start) {
		if (text_insn_at(*start)->length > addr - *start)
			return text_insn_at(*start)->length;
	}
	return 0;
}

/*
 * Before a part of an instruction is written, every CPU has fetched the other parts that it
 * could run: behind a first byte that traps there are none.
 */
static void check_insn_synced(u64 addr)
{
	u64 start;
	u32 length;

	if (MACHINE_MODELS_FETCH || !is_live(addr))
		return;
	length = unit_around(addr, &start);
	for (u64 byte = start; byte - start < length; byte++) {
		const struct text_writer *writer = &text_writers[byte % MAX_WRITERS];
		bool behind_trap = addr != start && byte != start;

		if (writer->addr == byte && !writer->in_place && !behind_trap)
			check_all_synced(writer);
	}
}

void text_poke(u64 addr, const void *bytes, size_t length)
{
	check_text_mutex();
	text_check_there(addr);
	check_insn_synced(addr);
	note_writer(addr, length, false);
	write_text(addr, bytes, length);
}

void text_poke_in_place(u64 addr, const void *bytes, size_t length)
{
	u32 flags;

	check_text_mutex();
	text_check_there(addr);
	machine_text_insn(addr, bytes, length);
	/* An interrupt of this CPU may run it: it meets all of it, and fetches it anew. */
	flags = local_irq_save();
	note_writer(addr, length, true);
	write_text(addr, bytes, length);
	sync_core();
	local_irq_restore(flags);
}

/* What the CPUs share while they stand. */
struct poke_stop {
	const struct text_poke_loc *loc;
	u32 nr;
	u32 first;            /* CPUs that have come; atomic */
	u32 wrote_text;       /* 1 = the first one has written everything */
};

/* On every CPU, interrupts off. */
static int poke_stopped(void *data)
{
	struct poke_stop *stop = data;

	if (atomic_add_return(1, &stop->first) == 1) {
		for (u32 n = 0; n < stop->nr; n++)
			write_text(stop->loc[n].addr, stop->loc[n].bytes, stop->loc[n].length);
		/* The text before the word that lets the others run it. */
		smp_store_release(&stop->wrote_text, 1);
		machine_wake(&stop->wrote_text);
	}
	while (!smp_load_acquire(&stop->wrote_text))
		machine_relax_while(&stop->wrote_text, 0);
	sync_core();
	return 0;
}

static void text_poke_smp_batch(const struct text_poke_loc *loc, u32 nr)
{
	struct poke_stop stop = { .loc = loc, .nr = nr };

	for (u32 n = 0; n < nr; n++)
		note_writer(loc[n].addr, loc[n].length, false);
	stop_machine_cpuslocked(poke_stopped, &stop, online_mask());
}

void text_poke_byte(u64 addr, u8 byte)
{
	struct text_poke_loc loc = { .addr = addr, .length = 1, .bytes = { byte } };

	check_text_mutex();
	poke_stats.bytes++;
	if (the_machine->config.poke_method == POKE_STOP_MACHINE) {
		text_poke_smp_batch(&loc, 1);
	} else {
		text_poke(addr, &byte, 1);
		sync_each_cpu();
	}
	check_all_synced(newest_writer);
}

/* From here on handlers may use poke_vec. */
static void get_poke_refs(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		smp_store_release(per_cpu_ptr(poke_refs, cpu), 1);
	/* The references before the first breakpoint; pairs with poke_int3_handler(). */
	smp_wmb();
}

/* Wait until the last handler is done with poke_vec. */
static void put_poke_refs(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		s32 *refs = per_cpu_ptr(poke_refs, cpu);
		struct wait_note before;

		if (atomic_dec_and_test(refs))
			continue;
		before = wait_begin(WAIT_POKE_REFS, refs, cpu);
		machine_wait_clear((u32 *)refs, ~0u);
		wait_end(before);
	}
}

static bool replaces_several(const struct text_poke_loc *loc, u32 nr)
{
	for (u32 n = 0; n < nr; n++) {
		if (loc[n].several)
			return true;
	}
	return false;
}

static void text_poke_int3_batch(const struct text_poke_loc *loc, u32 nr)
{
	const u8 int3 = INT3_INSN_OPCODE;
	u32 written = 0;

	get_poke_refs();
	for (u32 n = 0; n < nr; n++)
		text_poke(loc[n].addr, &int3, 1);
	sync_each_cpu();
	/* Nobody gets past a first byte any more: wait for those who have. */
	if (replaces_several(loc, nr))
		synchronize_rcu_tasks();
	/* All CPUs trap at the first byte: nobody reads the others. */
	for (u32 n = 0; n < nr; n++) {
		if (loc[n].length == 1)
			continue;
		text_poke(loc[n].addr + 1, loc[n].bytes + 1, loc[n].length - 1);
		written++;
	}
	if (written)
		sync_each_cpu();
	/* All CPUs see the other bytes: the first one may go live. */
	written = 0;
	for (u32 n = 0; n < nr; n++) {
		if (loc[n].bytes[0] == int3)
			continue;
		text_poke(loc[n].addr, loc[n].bytes, 1);
		written++;
	}
	if (written)
		sync_each_cpu();
	put_poke_refs();
}

void text_poke_finish(void)
{
	check_text_mutex();
	if (!poke_nr)
		return;
	poke_stats.batches++;
	poke_stats.entries += poke_nr;
	/* Where CPUs stand tasks may still have been preempted anywhere. */
	if (the_machine->config.poke_method == POKE_STOP_MACHINE &&
	    !replaces_several(poke_vec, poke_nr))
		text_poke_smp_batch(poke_vec, poke_nr);
	else
		text_poke_int3_batch(poke_vec, poke_nr);
	check_all_synced(newest_writer);
	poke_nr = 0;
}

void text_poke_queue(u64 addr, const void *bytes, size_t length, const void *emulate)
{
	struct text_poke_loc *loc;

	check_text_mutex();
	if (poke_nr == POKE_MAX_BATCH || (poke_nr && addr < poke_vec[poke_nr - 1].addr))
		text_poke_finish();
	loc = &poke_vec[poke_nr];
	if (length > POKE_MAX_LENGTH ||
	    !poke_insn_decode(&loc->insn, emulate ? emulate : bytes, length)) {
		report_finding(FINDING_BAD_STATE, NULL, addr, *(const u8 *)bytes, 0, length);
		return;
	}
	machine_text_insn(addr, bytes, length);
	loc->addr = addr;
	loc->length = length;
	loc->several = text_holds_several(addr, length);
	copy_bytes(loc->bytes, bytes, length);
	poke_nr++;
}

void text_poke_bp(u64 addr, const void *bytes, size_t length, const void *emulate)
{
	text_poke_queue(addr, bytes, length, emulate);
	text_poke_finish();
}

static const struct text_poke_loc *find_loc(u64 addr)
{
	u32 low = 0, high = poke_nr;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (poke_vec[middle].addr == addr)
			return &poke_vec[middle];
		if (poke_vec[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool poke_int3_handler(struct pt_regs *regs)
{
	s32 *refs = this_cpu_ptr(poke_refs);
	const struct text_poke_loc *loc;
	bool consumed;

	/* The breakpoint before the references; pairs with get_poke_refs(). */
	smp_rmb();
	if (!atomic_inc_not_zero(refs))
		return false;
	loc = find_loc(regs->ip - 1);
	consumed = loc && poke_insn_emulate(&loc->insn, loc->addr, regs);
	if (consumed)
		atomic_inc(&poke_stats.emulated);
	if (atomic_dec_and_test(refs))
		machine_wake((u32 *)refs);
	return consumed;
}
