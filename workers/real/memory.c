// SPDX-License-Identifier: MIT
/*
 * The mappings of a machine: the arena, the text as it runs, and the core's own
 * globals, which become shared so that the mechanisms can be plain C.
 */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096UL

int map_machine(int memfd)
{
	struct stat status;
	void *arena;

	if (fstat(memfd, &status))
		return -errno;
	arena = mmap((void *)ARENA_BASE, status.st_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED_NOREPLACE, memfd, 0);
	if (arena == MAP_FAILED)
		return -errno;
	if (arena != (void *)ARENA_BASE)
		return -EEXIST;
	return the_machine->magic == MACHINE_MAGIC ? 0 : -EINVAL;
}

/* Each run of pages with its own protection; what may run is never writable here. */
int map_text(int memfd)
{
	const struct text *text = &the_machine->text;
	u64 file_offset = the_machine->region[REGION_TEXT].offset;

	for (u32 n = 0; n < text->nr_segments; n++) {
		const struct text_segment *segment = &text->segment[n];
		int protection = PROT_READ;
		void *want = (void *)(TEXT_BASE + segment->offset);

		if (segment->protection & SEGMENT_WRITE)
			protection |= PROT_WRITE;
		else if (segment->protection & SEGMENT_EXEC)
			protection |= PROT_EXEC;
		if (mmap(want, segment->size, protection, MAP_SHARED | MAP_FIXED_NOREPLACE,
			 memfd, file_offset + segment->offset) != want)
			return errno ? -errno : -EEXIST;
	}
	return 0;
}

struct globals {
	u64 start;
	u64 end;
};

/* The writable pages of the executable behind those that are read-only after relocation. */
static int find_globals(struct dl_phdr_info *info, size_t size, void *data)
{
	struct globals *globals = data;

	for (int n = 0; n < info->dlpi_phnum; n++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[n];
		u64 start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;

		if (header->p_type == PT_LOAD && header->p_flags & PF_W) {
			globals->start = start & ~(PAGE - 1);
			globals->end = (end + PAGE - 1) & ~(PAGE - 1);
		}
	}
	for (int n = 0; n < info->dlpi_phnum; n++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[n];
		u64 end = info->dlpi_addr + header->p_vaddr + header->p_memsz;

		if (header->p_type == PT_GNU_RELRO)
			globals->start = (end + PAGE - 1) & ~(PAGE - 1);
	}
	return 1; /* The first one is the executable itself. */
}

int share_globals(int memfd)
{
	const struct region *region = &the_machine->region[REGION_GLOBALS];
	struct globals globals = { 0 };
	u64 size;

	dl_iterate_phdr(find_globals, &globals);
	size = globals.end - globals.start;
	if (globals.start != the_machine->globals_address || size > region->size)
		return -ERANGE;
	memcpy((void *)(ARENA_BASE + region->offset), (void *)globals.start, size);
	if (mmap((void *)globals.start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 memfd, region->offset) == MAP_FAILED)
		return -errno;
	return 0;
}
