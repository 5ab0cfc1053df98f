// SPDX-License-Identifier: MIT
/* Write down what went wrong, with the way there, and stop the machine. */
#include <finding.h>
#include <trace.h>

/* True if a frame pointer may be followed: it lies in the stacks, and is aligned. */
static bool is_frame(u64 fp)
{
	const struct region *stacks = &the_machine->region[REGION_STACKS];
	u64 start = ARENA_BASE + stacks->offset;

	return fp >= start && fp + 16 <= start + stacks->size && !(fp & 7);
}

void walk_stack(u64 *stack, u32 used, u64 fp)
{
	while (used < STACK_FRAMES && is_frame(fp)) {
		u64 next = ((u64 *)fp)[0], ip = ((u64 *)fp)[1];

		if (!ip)
			break;
		stack[used++] = ip;
		if (next <= fp)
			break;
		fp = next;
	}
	if (used < STACK_FRAMES)
		stack[used] = 0;
}

static void name_side(struct side *side)
{
	struct cpu *cpu = this_cpu();

	side->cpu = cpu->id;
	side->task = cpu->curr ? cpu->curr->index : 0;
	side->tsc = machine_cycles();
}

noinline void record_side(struct side *side)
{
	name_side(side);
	walk_stack(side->stack, 0, (u64)__builtin_frame_address(0));
}

void record_side_at(struct side *side, const struct pt_regs *regs)
{
	name_side(side);
	side->stack[0] = regs->ip;
	walk_stack(side->stack, 1, regs->bp);
}

/* The text around @ip as it stands, and as it was loaded. */
static void copy_text_bytes(struct finding *finding, u64 ip)
{
	const struct machine *machine = the_machine;
	u64 offset = ip - TEXT_BASE, size = machine->text.size;
	const u8 *found, *expected;

	if (ip < TEXT_BASE || offset >= size)
		return;
	offset = offset > 8 ? offset - 8 : 0;
	if (offset + sizeof(finding->bytes_found) > size)
		offset = size - sizeof(finding->bytes_found);
	found = (const u8 *)(ARENA_BASE + machine->region[REGION_TEXT].offset + offset);
	expected = (const u8 *)(ARENA_BASE + machine->region[REGION_PRISTINE].offset + offset);
	/* Not by copy_bytes(): that somebody looks at text here is no access of the code. */
	for (u32 n = 0; n < sizeof(finding->bytes_found); n++) {
		finding->bytes_found[n] = READ_ONCE(found[n]);
		finding->bytes_expected[n] = READ_ONCE(expected[n]);
	}
	finding->bytes_addr = TEXT_BASE + offset;
}

noinline void report_finding_at(enum finding_kind kind, const struct side *other,
				const struct pt_regs *regs, const u64 value[6])
{
	u32 place = atomic_fetch_add(1, &the_machine->nr_findings);
	struct finding *finding = &the_machine->finding[place];

	if (place >= MAX_FINDINGS)
		machine_freeze();
	trace_event(EVENT_FINDING, kind, value[0]);
	if (regs) {
		record_side_at(&finding->here, regs);
		finding->regs = *regs;
		finding->has_regs = 1;
		copy_text_bytes(finding, regs->ip);
	} else {
		record_side(&finding->here);
	}
	if (other)
		finding->other = *other;
	for (u32 n = 0; n < ARRAY_SIZE(finding->value); n++)
		finding->value[n] = value[n];
	smp_store_release(&finding->kind, kind);
	machine_freeze();
}
