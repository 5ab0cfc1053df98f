// SPDX-License-Identifier: MIT
/*
 * What has been written to text, and which of it each CPU may not have seen.
 *
 * A fetch sees, of each byte, any version between the one that its CPU has last
 * synchronized to and the newest. Whatever is written at once is a version.
 */
#include "text/text.h"

#include "detectors/report.h"

#include <error.h>
#include <sys/mman.h>

struct text_state text_state;

static u8 *now;               /* text as it is in memory, whatever buffers hold */
static u8 *patched;           /* enum patched, of each byte */
static bool patched_somewhere;
static bool learned_all;

/* The same in every process, whatever ran there before. */
enum patched { PATCHED_NEVER, PATCHED_IN_THIS_RUN, PATCHED };

/* Offsets and old bytes of this run, for the next one to begin from. */
static struct { u32 at; u32 size; u64 old; } changed[MAX_TEXT_WRITES * 8];
static u32 nr_changed;

static void forget_seen(void)
{
	u32 least = text_state.nr_writes;

	for (u32 n = 0; n < engine.nr_cpus; n++) {
		if (engine.vcpu[n].text_seen < least)
			least = engine.vcpu[n].text_seen;
	}
	if (!least)
		return;
	text_state.nr_writes -= least;
	for (u32 n = 0; n < text_state.nr_writes; n++)
		text_state.write[n] = text_state.write[n + least];
	for (u32 n = 0; n < engine.nr_cpus; n++)
		engine.vcpu[n].text_seen -= least;
}

void versions_mark(u32 at, u32 size)
{
	for (u32 n = 0; n < size; n++) {
		if (likely(patched[at + n]))
			continue;
		patched[at + n] = learned_all ? PATCHED_IN_THIS_RUN : PATCHED;
		engine.surprised |= learned_all;
	}
}

void versions_unmark(u32 at, u32 size)
{
	for (u32 n = 0; n < size; n++) {
		if (unlikely(patched[at + n] == PATCHED_IN_THIS_RUN))
			patched[at + n] = PATCHED_NEVER;
	}
}

/* A store to the writable alias of text has reached memory. */
static void wrote_text(u64 addr, u32 size, u64 value)
{
	u32 at = addr - engine.text_start;
	u64 old = load_word((u64)now + at, size);

	versions_mark(at, size);
	patched_somewhere = true;
	store_word((u64)now + at, size, value);
	if (text_state.nr_writes == MAX_TEXT_WRITES || nr_changed == ARRAY_SIZE(changed))
		engine_end(RUN_BOUND);
	changed[nr_changed].at = at;
	changed[nr_changed].size = size;
	changed[nr_changed++].old = old;
	text_state.write[text_state.nr_writes++] = (struct text_write){
		.at = at, .size = size, .old = old, .value = value,
	};
}

int versions_init(void)
{
	u64 size = the_machine->text.size;

	engine.text_start = (u64)text_alias(TEXT_BASE);
	engine.text_size = size;
	now = mmap(NULL, 2 * (size + FETCH_BYTES), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (now == MAP_FAILED)
		return -ENOMEM;
	patched = now + size + FETCH_BYTES;
	__builtin_memcpy(now, (void *)engine.text_start, size);
	/* Slots and trampolines are for whoever comes first. */
	__builtin_memset(patched + the_machine->text.slots_offset, PATCHED,
			 the_machine->text.slots_size);
	__builtin_memset(patched + the_machine->text.trampolines_offset, PATCHED,
			 the_machine->text.trampolines_size);
	engine.wrote_text = wrote_text;
	engine.text_bytes = text_bytes;
	return 0;
}

void versions_keep(void)
{
	nr_changed = text_state.nr_writes = 0;
	for (u32 n = 0; n < VIRTUAL_CPUS; n++)
		engine.vcpu[n].text_seen = 0;
}

void versions_begin(void)
{
	while (nr_changed) {
		nr_changed--;
		store_word((u64)now + changed[nr_changed].at, changed[nr_changed].size,
			   changed[nr_changed].old);
		versions_unmark(changed[nr_changed].at, changed[nr_changed].size);
	}
	text_state.nr_writes = 0;
}

bool text_is_patched_somewhere(void)
{
	return patched_somewhere;
}

void text_is_learned(void)
{
	learned_all = true;
}

bool text_is_patched(u64 addr, u32 size)
{
	u64 at = text_offset(addr);

	for (u32 n = 0; n < size; n++) {
		if (patched[at + n])
			return true;
	}
	return false;
}

void versions_sync(struct vcpu *cpu)
{
	cpu->text_seen = text_state.nr_writes;
	forget_seen();
}

void text_now(u64 addr, u8 *bytes, u32 size)
{
	__builtin_memcpy(bytes, now + text_offset(addr), size);
}

void text_bytes(struct finding *finding, const u8 *fetched)
{
	u64 room = sizeof(finding->bytes_found), at = text_offset(finding->regs.ip);
	u64 start = at > 8 ? at - 8 : 0;

	if (at >= engine.text_size)
		return;
	if (start + room > engine.text_size)
		start = engine.text_size - room;
	finding->bytes_addr = TEXT_BASE + start;
	text_now(TEXT_BASE + start, finding->bytes_found, room);
	__builtin_memcpy(finding->bytes_expected, text_pristine(TEXT_BASE + start), room);
	for (u32 n = 0; fetched && n < known_length(finding->regs.ip) && at + n - start < room; n++)
		finding->bytes_found[at + n - start] = fetched[n];
}

/* Take @write back in the bytes that were fetched at @at. */
static bool take_back(const struct text_write *write, u64 at, u8 *bytes)
{
	bool differs = false;

	for (u32 n = 0; n < write->size; n++) {
		u64 place = write->at + n - at;
		u8 old = write->old >> (8 * n);

		if (place >= FETCH_BYTES)
			continue;
		differs |= bytes[place] != old;
		bytes[place] = old;
	}
	return differs;
}

/* The moments that a CPU may see, the newest first. */
static u32 moments(const struct vcpu *cpu, u64 addr, u8 bytes[][FETCH_BYTES], u32 room)
{
	u32 count = 1;

	text_now(addr, bytes[0], FETCH_BYTES);
	for (u32 n = text_state.nr_writes; n > cpu->text_seen && count < room; n--) {
		__builtin_memcpy(bytes[count], bytes[count - 1], FETCH_BYTES);
		if (take_back(&text_state.write[n - 1], text_offset(addr), bytes[count]))
			count++;
	}
	return count;
}

static bool is_there(u8 bytes[][FETCH_BYTES], u32 count, const u8 *one)
{
	for (u32 n = 0; n < count; n++) {
		if (!__builtin_memcmp(bytes[n], one, FETCH_BYTES))
			return true;
	}
	return false;
}

/*
 * Any byte may be of any of these moments. The first bytes of one and the rest of
 * another stand for all mixtures: others are torn in more places, not in fewer.
 */
u32 versions_at(const struct vcpu *cpu, u64 addr, u8 bytes[][FETCH_BYTES], u32 room)
{
	u32 times, count, length;

	if (likely(cpu->text_seen == text_state.nr_writes)) {
		text_now(addr, bytes[0], FETCH_BYTES);
		return 1;
	}
	times = count = moments(cpu, addr, bytes, room);
	length = times > 1 ? known_length(addr) : 0;
	for (u32 pair = 0; pair < times * times; pair++) {
		u32 first = pair / times, rest = pair % times;

		for (u32 split = 1; first != rest && split < length && count < room; split++) {
			u8 *mixed = bytes[count];

			__builtin_memcpy(mixed, bytes[first], split);
			__builtin_memcpy(mixed + split, bytes[rest] + split, FETCH_BYTES - split);
			if (!is_there(bytes, count, mixed))
				count++;
		}
	}
	return count;
}
