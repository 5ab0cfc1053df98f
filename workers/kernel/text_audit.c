// SPDX-License-Identifier: MIT
/* Is text as it was loaded? */
#include <finding.h>
#include <kernel/text_poke.h>
#include <memory.h>

#define CHUNK 64              /* bytes; segments and the slot area consist of whole pages */

static s64 compare_chunk(u64 start, enum finding_kind kind, bool (*excused)(u64 addr))
{
	s64 different = 0;

	for (u64 addr = start; addr < start + CHUNK; addr++) {
		u8 expected = *text_pristine(addr), found = READ_ONCE(*text_alias(addr));

		if (found == expected || (excused && excused(addr)) || !text_is_there(addr))
			continue;
		if (!different++)
			report_finding(kind, text_last_writer(addr), addr, expected, found);
	}
	return different;
}

s64 text_compare(enum finding_kind kind, bool (*excused)(u64 addr))
{
	s64 different = 0;

	for (u32 n = 0; n < the_machine->text.nr_segments; n++) {
		const struct text_segment *segment = &the_machine->text.segment[n];
		u64 start = TEXT_BASE + segment->offset;

		if (segment->protection & SEGMENT_WRITE)
			continue;
		for (u64 addr = start; addr < start + segment->size; addr += CHUNK) {
			if (is_made_text(addr))
				continue;
			if (compare_bytes(text_alias(addr), text_pristine(addr), CHUNK))
				different += compare_chunk(addr, kind, excused);
		}
	}
	return different;
}

s64 text_audit(void)
{
	s64 different;

	mutex_lock(&text_mutex);
	different = text_compare(FINDING_TEXT_NOT_PRISTINE, NULL);
	mutex_unlock(&text_mutex);
	return different;
}
