// SPDX-License-Identifier: MIT
/*
 * The processor itself does what an instruction says: a copy of it, with a jump
 * back behind, runs on the registers and the stack of the text.
 *
 * Copies lie near text, so that an operand relative to the instruction reaches the
 * same memory. They are written through another mapping than they run from.
 */
#define _GNU_SOURCE
#include "text/text.h"

#include <error.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA_SIZE (4UL << 20)
#define AREA_GAP (1UL << 20)
#define COPY_SIZE 32          /* an instruction, and the jump back */
#define NR_COPIES (AREA_SIZE / COPY_SIZE)
#define XMM_AT 160            /* what fxsave has of vector registers, bytes */
#define XMM_SIZE 256
#define FLAGS_KEPT 0x202UL    /* interrupts on, and the bit that is always 1 */
#define FLAGS_OWN 0x244cd5UL  /* what an instruction may see and change */

struct copy {
	u64 addr;             /* it was written for; 0 = none */
	u8 bytes[FETCH_BYTES];
};

static u8 *area;              /* as it is written */
static u64 area_runs;         /* as it runs */
static struct copy copies[NR_COPIES]; /* by a hash of the address */

/* Where native_enter() and the way back find each other. */
struct native {
	u64 sp;               /* of this machine, while the instruction runs */
	struct pt_regs *regs;
	u64 code;
	u64 text_sp;
	u32 running;
};
static struct native native __attribute__((used));

void native_back(void);
void native_enter(void);

#define REG(name) __builtin_offsetof(struct pt_regs, name)

/*
 * Plain moves and pushes change no flags, so the instruction finds those that it
 * was given, and what it leaves is saved before anything else happens.
 */
__asm__(
	".text\n"
	".globl native_enter\n"
	"native_enter:\n\t"
	"pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"movq %rsp, native(%rip)\n\t"
	"movq native+8(%rip), %rdi\n\t"
	"pushq 144(%rdi)\n\t"
	"movq 0(%rdi), %r15\n\tmovq 8(%rdi), %r14\n\tmovq 16(%rdi), %r13\n\t"
	"movq 24(%rdi), %r12\n\tmovq 32(%rdi), %rbp\n\tmovq 40(%rdi), %rbx\n\t"
	"movq 48(%rdi), %r11\n\tmovq 56(%rdi), %r10\n\tmovq 64(%rdi), %r9\n\t"
	"movq 72(%rdi), %r8\n\tmovq 80(%rdi), %rax\n\tmovq 88(%rdi), %rcx\n\t"
	"movq 96(%rdi), %rdx\n\tmovq 104(%rdi), %rsi\n\t"
	"popfq\n\t"
	"movq 152(%rdi), %rsp\n\t"
	"movq 112(%rdi), %rdi\n\t"
	"jmpq *native+16(%rip)\n"
	".globl native_back\n"
	"native_back:\n\t"
	"movq %rsp, native+24(%rip)\n\t"
	"movq native(%rip), %rsp\n\t"
	"pushfq\n\t"
	"pushq %rdi\n\t"
	"movq native+8(%rip), %rdi\n\t"
	"movq %r15, 0(%rdi)\n\tmovq %r14, 8(%rdi)\n\tmovq %r13, 16(%rdi)\n\t"
	"movq %r12, 24(%rdi)\n\tmovq %rbp, 32(%rdi)\n\tmovq %rbx, 40(%rdi)\n\t"
	"movq %r11, 48(%rdi)\n\tmovq %r10, 56(%rdi)\n\tmovq %r9, 64(%rdi)\n\t"
	"movq %r8, 72(%rdi)\n\tmovq %rax, 80(%rdi)\n\tmovq %rcx, 88(%rdi)\n\t"
	"movq %rdx, 96(%rdi)\n\tmovq %rsi, 104(%rdi)\n\t"
	"popq 112(%rdi)\n\t"
	"popq 144(%rdi)\n\t"
	"movq native+24(%rip), %rax\n\t"
	"movq %rax, 152(%rdi)\n\t"
	"cld\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\t"
	"ret\n");

static_assert(REG(r15) == 0 && REG(bp) == 32 && REG(ax) == 80 && REG(di) == 112, "as above");
static_assert(REG(flags) == 144 && REG(sp) == 152, "as above");
static_assert(__builtin_offsetof(struct native, text_sp) == 24, "as above");

int native_init(void)
{
	u64 at = TEXT_BASE + the_machine->text.size + AREA_GAP;
	int memfd = memfd_create("native", MFD_CLOEXEC);
	void *runs;

	at = (at + AREA_GAP - 1) / AREA_GAP * AREA_GAP;
	if (memfd < 0 || ftruncate(memfd, AREA_SIZE))
		return -ENOMEM;
	area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	runs = mmap((void *)at, AREA_SIZE, PROT_READ | PROT_EXEC,
		    MAP_SHARED | MAP_FIXED_NOREPLACE, memfd, 0);
	close(memfd);
	area_runs = at;
	engine.text_interrupted = native_interrupted;
	return area == MAP_FAILED || runs != (void *)at ? -ENOMEM : 0;
}

static void write_copy(u32 place, const u8 *bytes, u32 length, u64 addr,
		       const struct text_insn *insn)
{
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	u64 back = (u64)native_back, runs = area_runs + place * COPY_SIZE;
	u8 *to = area + place * COPY_SIZE;

	__builtin_memcpy(to, bytes, length);
	if (insn->flags & INSN_RIP_RELATIVE) {
		s32 displacement;

		__builtin_memcpy(&displacement, to + insn->target, sizeof(displacement));
		displacement += (s32)(addr - runs);
		__builtin_memcpy(to + insn->target, &displacement, sizeof(displacement));
	}
	__builtin_memcpy(to + length, jump, sizeof(jump));
	__builtin_memcpy(to + length + sizeof(jump), &back, sizeof(back));
}

static_assert(COPY_SIZE >= MAX_INSN_LENGTH + 6 + 8, "a copy has room");

u64 native_code(const u8 *bytes, u32 length, u64 addr, const struct text_insn *insn)
{
	u64 hash = (addr ^ *(const u64 *)bytes) * 0x9e3779b97f4a7c15UL;
	u32 place = hash >> 40 & (NR_COPIES - 1);
	struct copy *copy;

	for (;; place = (place + 1) % NR_COPIES) {
		copy = &copies[place];
		if (copy->addr == addr && !__builtin_memcmp(copy->bytes, bytes, length))
			break;
		if (copy->addr)
			continue;
		copy->addr = addr;
		__builtin_memcpy(copy->bytes, bytes, length);
		write_copy(place, bytes, length, addr, insn);
		break;
	}
	return area_runs + place * COPY_SIZE;
}

void native_run(struct pt_regs *regs, u64 code, struct text_vectors *vectors)
{
	u64 kept = regs->flags & ~FLAGS_OWN;

	native.regs = regs;
	native.code = code;
	regs->flags = (regs->flags & FLAGS_OWN) | FLAGS_KEPT;
	native.running = 1;
	if (vectors)
		__asm__ volatile("fxrstor64 %0" : : "m"(*vectors));
	native_enter();
	if (vectors)
		__asm__ volatile("fxsave64 %0" : "=m"(*vectors));
	native.running = 0;
	regs->flags = (regs->flags & FLAGS_OWN) | kept;
}

void native_vectors(struct text_vectors *vectors)
{
	static struct text_vectors fresh;
	static bool known;
	u32 control = 0x1f80;

	if (!known) {
		__asm__ volatile("fninit\n\tldmxcsr %1\n\tfxsave64 %0"
				 : "=m"(fresh) : "m"(control));
		__builtin_memset(fresh.bytes + XMM_AT, 0, XMM_SIZE);
		known = true;
	}
	*vectors = fresh;
}

/* As native_enter() has pushed it. */
#define PUSHED_BP 5

bool native_interrupted(u64 ip, struct text_crash *crash)
{
	if (!native.running || ip - area_runs >= AREA_SIZE)
		return false;
	native.running = 0;
	crash->regs = native.regs;
	crash->frame = ((const u64 *)native.sp)[PUSHED_BP];
	return true;
}
