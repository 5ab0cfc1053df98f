// SPDX-License-Identifier: MIT
/*
 * CPUs run text instruction by instruction. Before each of them an interrupt can
 * come; what a fetch sees is a choice where the CPU has not synchronized to what
 * was written; a breakpoint is a trap, with interrupts off.
 */
#include "text/text.h"

#include "hooks.h"
#include "detectors/report.h"
#include "programs/kernel.h"

#include <error.h>
#include <finding.h>
#include <sys/mman.h>
#include <x86/emulate.h>
#include <x86/traps.h>

#define PC ((u64)__builtin_return_address(0))
#define STACK_WORDS 256       /* of the functions that one call runs */
#define STACK_ALIGNMENT 256   /* bytes: flags do not tell how deep in its stack the caller is */
#define FIRST_WORD (STACK_WORDS - STACK_ALIGNMENT / 8 - 1) /* as after a call */
#define RETURN_ADDRESS (TEXT_BASE - 16)
#define FLAGS_AT_START 0x202UL
#define USER_CS 0x33
#define USER_SS 0x2b

/* One call of a text function: its registers, and the stack that it has for itself. */
struct frame {
	struct pt_regs regs;
	struct text_vectors vectors;
	bool has_vectors;
	bool stepping;        /* after this instruction there is a trap */
	u32 irq_off;          /* as it was before the breakpoint */
	u64 from;             /* the instruction before this one; 0 = none */
	u64 stack[STACK_WORDS] __attribute__((aligned(STACK_ALIGNMENT)));
};

/* What is wrong with the instruction at ip; @fetched, FETCH_BYTES, is what was met there. */
static void __attribute__((noreturn))
found(enum finding_kind kind, const struct frame *frame, const struct side *other,
      const u8 *fetched, const u64 value[6])
{
	struct finding *finding = &the_explore->result.finding;

	*finding = (struct finding){ .kind = FINDING_NONE };
	virtual_side(&finding->here, frame->regs.ip, 0);
	if (other)
		finding->other = *other;
	for (u32 n = 0; n < ARRAY_SIZE(finding->value); n++)
		finding->value[n] = value[n];
	finding->regs = frame->regs;
	finding->has_regs = 1;
	text_bytes(finding, fetched);
	finding->kind = kind;
	engine_end(RUN_FAILED);
}

const struct side *machine_text_writer(u64 addr)
{
	for (u32 n = text_state.nr_notes; n--; ) {
		const struct text_writer_note *note = &text_state.note[n];

		if (text_offset(addr) - note->at < note->size)
			return &note->side;
	}
	return NULL;
}

void machine_text_writing(u64 addr, u64 size)
{
	struct text_writer_note *note;
	const struct text_owner *owner = text_freed_at(addr);

	if (unlikely(owner) && engine.cpu)
		virtual_report(FINDING_FREED_TEXT, PC, &owner->side, addr, TEXT_BASE + owner->at,
			       owner->size);
	if (text_state.nr_notes == MAX_TEXT_NOTES)
		return;
	note = &text_state.note[text_state.nr_notes++];
	note->at = text_offset(addr);
	note->size = size;
	if (engine.cpu)
		virtual_side(&note->side, PC, 0);
}

/* The start of the instruction that covers @addr, as the text was loaded; 0 = none. */
static u64 covering(u64 addr)
{
	for (u64 start = addr - 1; start >= TEXT_BASE && addr - start < MAX_INSN_LENGTH; start--) {
		u32 length = text_insn_at(start)->length;

		if (length)
			return addr - start < length ? start : 0;
	}
	return 0;
}

/* Bytes as a finding has them, with how many there are in the highest one. */
static u64 bytes_value(const u8 *bytes, u32 length)
{
	u32 shown = length < sizeof(u64) ? length : sizeof(u64) - 1;
	u64 value = (u64)shown << 56;

	__builtin_memcpy(&value, bytes, shown);
	return value;
}

static void __attribute__((noreturn)) report_unknown(struct frame *frame, const u8 *bytes)
{
	u64 ip = frame->regs.ip, start = covering(ip), seen;
	const struct text_owner *owner = text_freed_at(ip);
	const struct side *writer = machine_text_writer(ip);
	u32 length = known_length(ip);
	u8 there[FETCH_BYTES];

	if (owner)
		found(FINDING_FREED_TEXT, frame, &owner->side, bytes,
		      (u64[6]){ ip, TEXT_BASE + owner->at, owner->size });
	seen = bytes_value(bytes, length);
	text_now(ip, there, sizeof(there));
	if (start)
		found(FINDING_INSIDE_INSN, frame, writer, bytes,
		      (u64[6]){ ip, start, seen, frame->from });
	found(FINDING_TORN_INSN, frame, writer, bytes,
	      (u64[6]){ ip, seen, bytes_value(there, length) });
}

static void __attribute__((noreturn)) report_outside(struct frame *frame)
{
	found(FINDING_CRASH, frame, NULL, NULL, (u64[6]){ 11, frame->regs.ip, 14, 0x14 });
}

void text_sync(struct vcpu *cpu, u64 pc)
{
	if (!text_is_patched_somewhere())
		return;
	engine_point(EVENT_KIND_SYNC, engine.text_start, 0, pc);
	versions_sync(cpu);
}

/*
 * Others come before an instruction that is patched at some time. At one that never
 * is they change nothing: it works on registers and the task's own stack, so an
 * interrupt may as well come before the next operation; what it reads or writes
 * elsewhere is one.
 */
static void let_others(struct vcpu *cpu, u64 ip)
{
	if (text_is_patched(ip, text_insn_at(ip)->length ? : FETCH_BYTES))
		engine_point(EVENT_KIND_FETCH, engine.text_start + text_offset(ip),
			     known_length(ip), ip);
	else if (++engine.steps > engine.max_steps)
		engine_end(RUN_BOUND);
}

/* Fetches that do the same, or that are both findings, are one choice. */
static bool is_like(const struct fetched *a, const struct fetched *b)
{
	bool known = a->trap || a->loaded || a->known;

	if (known != (b->trap || b->loaded || b->known))
		return false;
	return !known || (a->trap == b->trap && a->loaded == b->loaded && a->known == b->known);
}

static u32 distinct(u64 ip, u8 bytes[][FETCH_BYTES], u32 count, struct fetched *fetched)
{
	u32 kept = 0;

	for (u32 n = 0; n < count; n++) {
		struct fetched *one = &fetched[kept];
		bool is_new = true;

		__builtin_memcpy(one->bytes, bytes[n], FETCH_BYTES);
		known_insn(ip, one);
		for (u32 other = 0; other < kept; other++)
			is_new &= !is_like(one, &fetched[other]);
		kept += is_new;
	}
	return kept;
}

static noinline void fetch_stale(struct vcpu *cpu, u64 ip, struct fetched *fetched)
{
	u8 bytes[MAX_FETCHED][FETCH_BYTES];
	struct fetched all[MAX_FETCHED];
	u32 count = versions_at(cpu, ip, bytes, MAX_FETCHED), options;

	options = distinct(ip, bytes, count, all);
	*fetched = all[options > 1 ? engine_pick(cpu, options) : 0];
}

static void show_fetch(struct vcpu *cpu, u64 ip, const struct fetched *fetched)
{
	struct shown_event *event;
	u32 size = known_length(ip);
	u64 seen = 0, there = 0;

	size = size < sizeof(seen) ? size : sizeof(seen);
	__builtin_memcpy(&seen, fetched->bytes, size);
	text_now(ip, (u8 *)&there, size);
	event = show_event(cpu, EVENT_KIND_FETCH, engine.text_start + text_offset(ip), size, seen,
			   ip);
	event->old = there;
}

static void fetch(struct frame *frame, struct vcpu *cpu, struct fetched *fetched)
{
	u64 ip = frame->regs.ip;
	bool wrong;

	if (likely(cpu->text_seen == text_state.nr_writes)) {
		text_now(ip, fetched->bytes, FETCH_BYTES);
		known_insn(ip, fetched);
	} else {
		fetch_stale(cpu, ip, fetched);
	}
	wrong = (!fetched->trap && !fetched->loaded && !fetched->known) || text_freed_at(ip);
	if (unlikely(engine.show) && (wrong || text_is_patched(ip, 1)))
		show_fetch(cpu, ip, fetched);
	if (unlikely(wrong))
		report_unknown(frame, fetched->bytes);
	frame->from = ip;
}

u64 *text_register(struct pt_regs *regs, u32 number)
{
	u64 *all = (u64 *)regs;
	static const u8 place[16] = {
		offsetof(struct pt_regs, ax) / 8, offsetof(struct pt_regs, cx) / 8,
		offsetof(struct pt_regs, dx) / 8, offsetof(struct pt_regs, bx) / 8,
		offsetof(struct pt_regs, sp) / 8, offsetof(struct pt_regs, bp) / 8,
		offsetof(struct pt_regs, si) / 8, offsetof(struct pt_regs, di) / 8,
		offsetof(struct pt_regs, r8) / 8, offsetof(struct pt_regs, r9) / 8,
		offsetof(struct pt_regs, r10) / 8, offsetof(struct pt_regs, r11) / 8,
		offsetof(struct pt_regs, r12) / 8, offsetof(struct pt_regs, r13) / 8,
		offsetof(struct pt_regs, r14) / 8, offsetof(struct pt_regs, r15) / 8,
	};

	return &all[place[number]];
}

static u64 register_at(const struct pt_regs *regs, u32 number)
{
	return number < 16 ? *text_register((struct pt_regs *)regs, number) : 0;
}

/* The stack of the text, which nobody else knows of; that of its caller is as for C. */
static bool is_own_stack(const struct frame *frame, u64 addr)
{
	return addr - (u64)frame->stack < sizeof(frame->stack);
}

/* What the instruction is about to access, others can see: it is announced as C is. */
static void announce(const struct frame *frame, s32 operand)
{
	const struct pt_regs *regs = &frame->regs;
	u64 addr = register_at(regs, OPERAND_BASE(operand)) + OPERAND_DISPLACEMENT(operand) +
		   (register_at(regs, OPERAND_INDEX(operand)) << OPERAND_SCALE(operand));
	u32 size = 1u << OPERAND_SIZE(operand);

	if (OPERAND_SIZE(operand) == OPERAND_UNKNOWN) {
		/* Implicit operands, as of string instructions: none but the own stack. */
		if (!is_own_stack(frame, regs->di) && !is_own_stack(frame, regs->sp))
			engine_end(RUN_BOUND);
		return;
	}
	if (is_own_stack(frame, addr))
		return;
	if (operand & OPERAND_READ)
		hook_load_range(addr, size, ORDER_RELAXED, regs->ip);
	if (operand & OPERAND_WRITE)
		hook_store_range(addr, size, ORDER_RELAXED, regs->ip);
}

static void run_native(struct frame *frame, const u8 *bytes, const struct text_insn *insn)
{
	struct pt_regs *regs = &frame->regs;
	struct text_vectors *vectors = NULL;
	u64 ip = regs->ip;

	if (insn->flags & INSN_RIP_RELATIVE && text_load_relative(regs, bytes, insn))
		return;
	if (insn->flags & INSN_MEMORY && !(insn->flags & INSN_RIP_RELATIVE))
		announce(frame, insn->target);
	if (insn->flags & INSN_VECTOR) {
		vectors = &frame->vectors;
		if (!frame->has_vectors)
			native_vectors(vectors);
		frame->has_vectors = true;
	}
	native_run(regs, native_code(bytes, insn->length, ip, insn), vectors);
	regs->ip = ip + insn->length;
}

/* A jump or call through memory that is addressed relative to the instruction. */
static void run_indirect(struct frame *frame, struct vcpu *cpu, const u8 *bytes,
			 const struct text_insn *insn)
{
	struct pt_regs *regs = &frame->regs;
	u64 next = regs->ip + insn->length, target;
	s32 displacement;

	if (!(insn->flags & INSN_RIP_RELATIVE))
		found(FINDING_CRASH, frame, NULL, bytes, (u64[6]){ 4, regs->ip, 6, 0 });
	__builtin_memcpy(&displacement, bytes + insn->target, sizeof(displacement));
	target = text_read_word(next + displacement, regs->ip);
	engine.cpu = NULL;
	if (insn->condition != 1)
		emulate_push(regs, next);
	engine.cpu = cpu;
	regs->ip = target;
}

/* @insn stands at ip: do it. Hooks keep quiet: registers and stack are this task's. */
static void execute(struct frame *frame, struct vcpu *cpu, const u8 *bytes,
		    const struct text_insn *insn)
{
	if (insn->class == INSN_STEP) {
		run_native(frame, bytes, insn);
		return;
	}
	if (insn->class == INSN_REFUSED) {
		run_indirect(frame, cpu, bytes, insn);
		return;
	}
	engine.cpu = NULL;
	insn_emulate(insn, frame->regs.ip, &frame->regs);
	engine.cpu = cpu;
}

/* On the way into a trap, and back. */
static void serialize(struct vcpu *cpu, u64 ip)
{
	if (cpu->count)
		engine_point(EVENT_KIND_FENCE, 0, 0, ip);
	text_sync(cpu, ip);
}

/*
 * The processor puts what it returns to on the stack that was interrupted, and
 * empties its store buffer. Source: Intel SDM volume 3A, 6.12 and 12.10.
 */
static void trap(struct frame *frame, struct vcpu *cpu, void (*handler)(struct pt_regs *))
{
	struct pt_regs *regs = &frame->regs, *saved;

	saved = (struct pt_regs *)((regs->sp - TRAP_FRAME_GAP) & ~15UL) - 1;
	if ((u64)saved < (u64)frame->stack)
		report_outside(frame);
	regs->cs = USER_CS;
	regs->ss = USER_SS;
	*saved = *regs;
	serialize(cpu, regs->ip);
	handler(saved);
	/* What it returns to is not what the processor had put there. */
	if (saved->cs != USER_CS || saved->ss != USER_SS)
		found(FINDING_CRASH, frame, NULL, NULL, (u64[6]){ 11, (u64)saved, 13, 0 });
	serialize(cpu, regs->ip);
	*regs = *saved;
}

static void end_step(struct frame *frame, struct vcpu *cpu)
{
	frame->stepping = false;
	frame->regs.flags |= X86_FLAGS_TF;
	trap(frame, cpu, do_debug);
	frame->stepping = frame->regs.flags & X86_FLAGS_TF;
	frame->regs.flags &= ~X86_FLAGS_TF;
	if (!frame->stepping)
		kernel_irqs_restore(cpu, frame->irq_off);
}

static void breakpoint(struct frame *frame, struct vcpu *cpu)
{
	u32 irq_off = cpu_at(cpu->id)->irq_off;

	kernel_irqs_off(cpu, frame->regs.ip);
	frame->regs.ip++;
	trap(frame, cpu, do_int3);
	if (frame->regs.flags & X86_FLAGS_TF) {
		if (!frame->stepping)
			frame->irq_off = irq_off;
		frame->stepping = true;
		frame->regs.flags &= ~X86_FLAGS_TF;
		return;
	}
	kernel_irqs_restore(cpu, irq_off);
}

static void step(struct frame *frame, struct vcpu *cpu)
{
	struct pt_regs *regs = &frame->regs;
	struct fetched fetched;
	bool stepping;

	if (unlikely(regs->ip - TEXT_BASE >= engine.text_size - FETCH_BYTES)) {
		if (!text_calls(regs->ip))
			report_outside(frame);
		text_call_out(regs);
		return;
	}
	let_others(cpu, regs->ip);
	fetch(frame, cpu, &fetched);
	if (fetched.trap) {
		breakpoint(frame, cpu);
		return;
	}
	stepping = frame->stepping;
	if (fetched.loaded) {
		execute(frame, cpu, fetched.bytes, text_insn_at(regs->ip));
	} else if (fetched.known->kind == KNOWN_COPIED) {
		execute(frame, cpu, fetched.bytes, &fetched.known->insn);
	} else {
		engine.cpu = NULL;
		poke_insn_emulate(&fetched.known->poke, regs->ip, regs);
		engine.cpu = cpu;
	}
	if (stepping)
		end_step(frame, cpu);
}

/* What a function must leave as it was. Source: System V ABI, AMD64, 3.2.1. */
static bool kept_registers(const struct pt_regs *regs, const struct frame *frame)
{
	return regs->bx == 0xb0 && regs->bp == 0xb1 && regs->r12 == 0xb2 && regs->r13 == 0xb3 &&
	       regs->r14 == 0xb4 && regs->r15 == 0xb5 &&
	       regs->sp == (u64)&frame->stack[FIRST_WORD + 1];
}

noinline u64 machine_call_text(u64 addr, u64 a, u64 b)
{
	struct vcpu *cpu = engine.cpu;
	struct frame frame;

	/* No state of the machine looks different by what was in a stack before. */
	__builtin_memset(&frame, 0, sizeof(frame));
	frame.regs = (struct pt_regs){
		.di = a, .si = b, .ip = addr, .flags = FLAGS_AT_START,
		.bx = 0xb0, .bp = 0xb1, .r12 = 0xb2, .r13 = 0xb3, .r14 = 0xb4, .r15 = 0xb5,
		.sp = (u64)&frame.stack[FIRST_WORD],
	};
	frame.stack[FIRST_WORD] = RETURN_ADDRESS;
	while (frame.regs.ip != RETURN_ADDRESS)
		step(&frame, cpu);
	if (unlikely(!kept_registers(&frame.regs, &frame)))
		found(FINDING_WRONG_RESULT, &frame, NULL, NULL, (u64[6]){ addr, a });
	return frame.regs.ax;
}

int kernel_text_init(void)
{
	u64 size = the_machine->text.size;
	void *at;
	int error;

	if (!size)
		return 0;
	/* For constants that instructions address: as they were loaded. */
	at = mmap((void *)TEXT_BASE, size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)TEXT_BASE)
		return -ENOMEM;
	__builtin_memcpy(at, text_pristine(TEXT_BASE), size);
	if (mprotect(at, size, PROT_READ))
		return -ENOMEM;
	error = versions_init();
	return error ? error : native_init();
}
