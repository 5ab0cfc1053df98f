// SPDX-License-Identifier: MIT
/*
 * A copy of all that libc keeps of the thread that this process has: blocks of
 * thread-local variables below the address in %fs, and what describes the thread
 * from there on.
 *
 * What describes it begins with its own address, by which the compiler finds
 * variables. The address behind that, by which libc knows who it is, stays the
 * engine's: locks of libc that a run leaves behind are of the one thread there is.
 */
#define _GNU_SOURCE
#include "programs/thread_local.h"

#include <asm/prctl.h>
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define THREAD_ROOM PAGE              /* for what describes a thread, at most */
#define MAX_LOCALS (16UL << 10)
#define HWCAP2_FSGSBASE 2             /* Linux: arch/x86/include/uapi/asm/hwcap2.h */

static u64 own_base;                  /* %fs of the engine */
static u64 below, above;              /* bytes to be copied, before and behind it */
static bool has_instruction;          /* to write %fs with */

u64 locals_size(void)
{
	const ElfW(Phdr) *header = (void *)getauxval(AT_PHDR);

	for (u64 n = 0; n < getauxval(AT_PHNUM); n++) {
		if (header[n].p_type == PT_TLS)
			return header[n].p_memsz;
	}
	return 0;
}

/* The lowest block below %fs that a loaded file has. */
static int look_at_block(struct dl_phdr_info *info, size_t size, void *lowest)
{
	u64 start = (u64)info->dlpi_tls_data;

	if (start && start < *(u64 *)lowest && own_base - start < MAX_LOCALS)
		*(u64 *)lowest = start;
	return 0;
}

static bool is_mapped(u64 page)
{
	unsigned char resident;

	return !mincore((void *)page, PAGE, &resident);
}

int locals_prepare(u64 stack_size)
{
	u64 size = locals_size(), lowest;

	if (!size)
		return 0;
	__asm__("movq %%fs:0, %0" : "=r"(own_base));
	lowest = own_base;
	dl_iterate_phdr(look_at_block, &lowest);
	below = own_base - lowest;
	if (below < size)
		return -ENOSPC;
	above = PAGE - own_base % PAGE;
	if (above < THREAD_ROOM && is_mapped(own_base + above))
		above = THREAD_ROOM;
	/* At the same place in a page: whatever the variables are aligned to, they still are. */
	engine.locals_base = stack_size - 2 * PAGE + own_base % PAGE;
	engine.locals = (stack_size - engine.locals_base + below + 63) & ~63UL;
	has_instruction = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	return 0;
}

void locals_begin(const struct fiber *fiber)
{
	u64 base = fiber->stack + engine.locals_base;

	__builtin_memcpy((void *)(base - below), (void *)(own_base - below), below + above);
	*(u64 *)base = base;
}

void locals_enter(const struct fiber *fiber)
{
	u64 base = fiber ? fiber->stack + engine.locals_base : own_base;

	if (likely(has_instruction))
		__asm__ volatile("wrfsbase %0" : : "r"(base) : "memory");
	else
		syscall(SYS_arch_prctl, ARCH_SET_FS, base);
}
