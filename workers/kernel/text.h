/* SPDX-License-Identifier: MIT */
/* Where text is, what the text map and the symbols say of it, and its modules. */
#ifndef KERNEL_TEXT_H
#define KERNEL_TEXT_H

#include <machine.h>
#include <trace.h>

static inline bool is_text(u64 addr)
{
	return addr - TEXT_BASE < the_machine->text.size;
}

static inline bool is_slot_area(u64 addr)
{
	return addr - TEXT_BASE - the_machine->text.slots_offset < the_machine->text.slots_size;
}

static inline bool is_trampoline_area(u64 addr)
{
	return addr - TEXT_BASE - the_machine->text.trampolines_offset <
	       the_machine->text.trampolines_size;
}

/* Made at run time: no loaded text, and of no module. */
static inline bool is_made_text(u64 addr)
{
	return is_slot_area(addr) || is_trampoline_area(addr);
}

/* The byte of @region that belongs to offset @offset of it. */
static inline void *region_at(enum region_id region, u64 offset)
{
	return (void *)(ARENA_BASE + the_machine->region[region].offset + offset);
}

/* The writable alias of a text address. */
static inline u8 *text_alias(u64 addr)
{
	return region_at(REGION_TEXT, addr - TEXT_BASE);
}

/* The byte as it was loaded. */
static inline const u8 *text_pristine(u64 addr)
{
	return region_at(REGION_PRISTINE, addr - TEXT_BASE);
}

static inline const struct text_insn *text_insn_at(u64 addr)
{
	return (struct text_insn *)region_at(REGION_TEXT_MAP, 0) + (addr - TEXT_BASE);
}

/* Run the text function at @addr. */
static inline u64 text_call(u64 addr, u64 a, u64 b)
{
	trace_event(EVENT_TEXT_CALL, addr, a);
	return machine_call_text(addr, a, b);
}

/* The function that covers @addr (the table is sorted by address), or NULL. */
const struct text_function *text_function_at(u64 addr);
const struct text_function *text_function_named(const char *name);

/* True if @addr lies in a segment that the loaded library writes to. */
bool is_text_data(u64 addr);

/* The index of the module whose text covers @addr, or -1. */
int text_module_at(u64 addr);

/* True if more than one instruction stands in [addr, addr + length) now. */
bool text_holds_several(u64 addr, size_t length);

/* A module that is not there has no text: what is left there is restored when it comes back. */
bool text_is_there(u64 addr);

/* Report who writes text of a module that is not there. */
void text_check_there(u64 addr);

/* Hold a module against unloading; false = it is not there any more. */
bool try_module_get(int module);
void module_put(int module);

/*
 * Unload: probes in it are gone afterwards. -EBUSY if somebody holds it, -EINVAL if
 * it is not live. Who runs the module's text holds it.
 * Load again: the text is as it was loaded at first. -EINVAL if it is there.
 */
int text_module_unload(int module);
int text_module_load(int module);

#endif
