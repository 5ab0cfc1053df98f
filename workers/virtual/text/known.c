// SPDX-License-Identifier: MIT
/*
 * Which bytes are an instruction: those that were loaded, where the text map has a
 * boundary, and those that somebody has said he is about to write.
 */
#include "text/text.h"

#include "detectors/report.h"
#include "detectors/show.h"

#include <x86/insn.h>

static u32 kept_insns, kept_owners, kept_notes;

void known_keep(void)
{
	kept_insns = text_state.nr_known;
	kept_owners = text_state.nr_owners;
	kept_notes = text_state.nr_notes;
}

void known_begin(void)
{
	for (u32 n = kept_owners; n < text_state.nr_owners; n++)
		versions_unmark(text_state.owner[n].at, text_state.owner[n].size);
	text_state.nr_known = kept_insns;
	text_state.nr_owners = kept_owners;
	text_state.nr_notes = kept_notes;
}

/* The memory has belonged to somebody else since. */
static bool is_stale(const struct known_insn *known)
{
	for (u32 n = known->owners; n < text_state.nr_owners; n++) {
		if (known->at - text_state.owner[n].at < text_state.owner[n].size)
			return true;
	}
	return false;
}

static bool is_same(const struct known_insn *known, u64 addr, const u8 *bytes)
{
	return known->at == text_offset(addr) &&
	       !__builtin_memcmp(known->bytes, bytes, known->length) && !is_stale(known);
}

static const struct known_insn *find(u64 addr, const u8 *bytes)
{
	for (u32 n = text_state.nr_known; n--; ) {
		if (is_same(&text_state.known[n], addr, bytes))
			return &text_state.known[n];
	}
	return NULL;
}

bool known_insn(u64 addr, struct fetched *fetched)
{
	const struct text_insn *insn = text_insn_at(addr);
	const u8 *loaded = text_pristine(addr);

	fetched->known = NULL;
	fetched->trap = fetched->bytes[0] == INT3_INSN_OPCODE;
	fetched->loaded = insn->length && !__builtin_memcmp(loaded, fetched->bytes, insn->length);
	if (fetched->trap || fetched->loaded)
		return true;
	fetched->known = find(addr, fetched->bytes);
	return fetched->known;
}

u32 known_length(u64 addr)
{
	u32 length = text_insn_at(addr)->length;

	for (u32 n = 0; n < text_state.nr_known; n++) {
		const struct known_insn *known = &text_state.known[n];

		if (known->at == text_offset(addr) && known->length > length)
			length = known->length;
	}
	return length ? length : FETCH_BYTES;
}

static struct known_insn *add(u64 addr, const u8 *bytes, u32 length, enum known_kind kind)
{
	struct known_insn *known;

	if (addr - TEXT_BASE >= engine.text_size || length >= FETCH_BYTES ||
	    (find(addr, bytes) && find(addr, bytes)->length == length))
		return NULL;
	if (text_state.nr_known == MAX_KNOWN_INSNS)
		engine_end(RUN_BOUND);
	known = &text_state.known[text_state.nr_known++];
	*known = (struct known_insn){
		.at = text_offset(addr), .length = length, .kind = kind,
		.owners = text_state.nr_owners,
	};
	__builtin_memcpy(known->bytes, bytes, length);
	return known;
}

/* Others' hooks keep quiet while this machine uses explored code for itself. */
static bool decode(struct poke_insn *insn, const void *bytes, u64 length)
{
	struct vcpu *cpu = engine.cpu;
	bool decoded;

	engine.cpu = NULL;
	decoded = poke_insn_decode(insn, bytes, length);
	engine.cpu = cpu;
	return decoded;
}

void machine_text_insn(u64 addr, const void *bytes, u64 length)
{
	struct known_insn *known;
	struct poke_insn poke;

	if (length >= FETCH_BYTES || !decode(&poke, bytes, length) ||
	    *(const u8 *)bytes == INT3_INSN_OPCODE)
		return;
	known = add(addr, bytes, poke.length, KNOWN_POKED);
	if (known)
		known->poke = poke;
}

void machine_text_copy(u64 addr, const void *bytes, u64 origin)
{
	const struct text_insn *insn = text_insn_at(origin);
	struct known_insn *known = add(addr, bytes, insn->length, KNOWN_COPIED);

	if (known)
		known->insn = *insn;
}

/* Who runs there meanwhile may notice, so it is an operation. */
static void note_owner(u64 addr, u64 size, bool freed, u64 pc)
{
	struct text_owner *owner;

	versions_mark(text_offset(addr), size);
	if (engine.cpu)
		engine_point(freed ? EVENT_KIND_FREE : EVENT_KIND_ALLOC,
			     engine.text_start + text_offset(addr), 0, pc);
	if (unlikely(engine.show) && engine.cpu && freed)
		show_event(engine.cpu, EVENT_KIND_FREE, engine.text_start + text_offset(addr), 0,
			   size, pc);
	if (text_state.nr_owners == MAX_TEXT_NOTES)
		engine_end(RUN_BOUND);
	owner = &text_state.owner[text_state.nr_owners++];
	*owner = (struct text_owner){ .at = text_offset(addr), .size = size, .freed = freed };
	if (engine.cpu)
		virtual_side(&owner->side, pc, 0);
}

const struct text_owner *text_freed_at(u64 addr)
{
	u64 at = text_offset(addr);

	for (u32 n = text_state.nr_owners; n--; ) {
		const struct text_owner *owner = &text_state.owner[n];

		if (at - owner->at < owner->size)
			return owner->freed ? owner : NULL;
	}
	return NULL;
}

void machine_text_allocated(u64 addr, u64 size)
{
	if (text_freed_at(addr))
		note_owner(addr, size, false, (u64)__builtin_return_address(0));
}

void machine_text_freed(u64 addr, u64 size)
{
	/* Others may run it until here, and not from here on. */
	if (engine.cpu)
		engine_point(EVENT_KIND_FREE, 0, 0, (u64)__builtin_return_address(0));
	note_owner(addr, size, true, (u64)__builtin_return_address(0));
}
