// SPDX-License-Identifier: MIT
/*
 * A signal while explored code runs is what that code did: a finding, and the end
 * of the run. One that this machine itself causes is a bug of ours.
 *
 * Handlers run on a stack of their own, since the fiber's may be what overflowed,
 * and leave by the switch that ends every run; their signals are not blocked.
 */
#define _GNU_SOURCE
#include "engine.h"
#include "detectors/report.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define ALTERNATE_SIZE (64UL << 10)
#define WATCH_US 20000        /* of processor time */
/* Looks without a step between them, after which nothing will come any more. */
#define MAX_IDLE_LOOKS 50
/* The same near where that was so already: a replay need not wait as long. */
#define KNOWN_IDLE_LOOKS 3
#define NR_KNOWN 8
#define NEAR 256
#define EXIT_BUG 70

void crash_init(void);

static void save_registers(struct pt_regs *to, const greg_t *from)
{
	*to = (struct pt_regs){
		.r15 = from[REG_R15], .r14 = from[REG_R14], .r13 = from[REG_R13],
		.r12 = from[REG_R12], .bp = from[REG_RBP], .bx = from[REG_RBX],
		.r11 = from[REG_R11], .r10 = from[REG_R10], .r9 = from[REG_R9],
		.r8 = from[REG_R8], .ax = from[REG_RAX], .cx = from[REG_RCX],
		.dx = from[REG_RDX], .si = from[REG_RSI], .di = from[REG_RDI],
		.orig_ax = from[REG_TRAPNO], .ip = from[REG_RIP],
		.cs = from[REG_CSGSFS] & 0xffff, .flags = from[REG_EFL], .sp = from[REG_RSP],
		.ss = (u64)from[REG_CSGSFS] >> 48,
	};
}

/* Memory that may not be there, or may not be read. */
static bool peek(void *to, u64 from, u64 size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* A place that explored code told its hook, which touches it before the code itself does. */
static bool is_announced(u64 addr, bool known)
{
	struct vcpu *cpu = engine.cpu;
	u64 places[] = { cpu->pending.addr, nth_store(cpu, cpu->count)->addr };

	for (u32 n = 0; n < ARRAY_SIZE(places); n++) {
		bool canonical = (s64)places[n] << 16 >> 16 == (s64)places[n];

		/* The processor does not tell an address that it cannot form. */
		if (known ? addr - places[n] < 8 : !canonical)
			return true;
	}
	return false;
}

static void __attribute__((noreturn)) die(int number, const greg_t *registers, u64 addr)
{
	static const char digits[] = "0123456789abcdef";
	char line[] = "explorer: signal 00 at 0x0000000000000000 of its own, "
		      "address 0x0000000000000000\n";
	char *place = strstr(line, "0x") + 2, *second = strrchr(line, 'x') + 1;
	char *signal = strstr(line, "00");

	signal[0] += number / 10;
	signal[1] += number % 10;
	for (u32 n = 0; n < 16; n++) {
		place[15 - n] = digits[(u64)registers[REG_RIP] >> 4 * n & 15];
		second[15 - n] = digits[addr >> 4 * n & 15];
	}
	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		_exit(EXIT_BUG + 1);
	_exit(EXIT_BUG);
}

/* Where it happened: for a hook, the code that called it. */
static u64 explored_place(const greg_t *registers, u64 *frame)
{
	u64 ip = registers[REG_RIP], stack[2], pair[2];
	u8 byte;

	*frame = registers[REG_RBP];
	if (is_machine_text(ip)) {
		stack[0] = 0;
		report_walk(stack, ARRAY_SIZE(stack), 0, *frame);
		return stack[0];
	}
	/* A jump to nowhere: the call that did it has left its return address. */
	if (!peek(&byte, ip, 1) && peek(pair, registers[REG_RSP], sizeof(pair)))
		return pair[0];
	return ip;
}

/* An instruction of text: what it was, where it stands, and who called the text. */
static void __attribute__((noreturn))
report_text_crash(const struct text_crash *crash, const u64 value[6])
{
	struct finding *finding = &the_explore->result.finding;

	*finding = (struct finding){ .kind = FINDING_NONE };
	virtual_side(&finding->here, crash->regs->ip, crash->frame);
	for (u32 n = 0; n < ARRAY_SIZE(finding->value); n++)
		finding->value[n] = value[n];
	finding->regs = *crash->regs;
	finding->has_regs = 1;
	engine.text_bytes(finding, NULL);
	finding->kind = FINDING_CRASH;
	engine_end(RUN_FAILED);
}

static void __attribute__((noreturn))
report_crash(enum finding_kind kind, const greg_t *registers, const u64 value[6])
{
	struct finding *finding = &the_explore->result.finding;
	u64 frame, pc = explored_place(registers, &frame), ip = registers[REG_RIP];

	*finding = (struct finding){ .kind = FINDING_NONE };
	virtual_side(&finding->here, pc, frame);
	for (u32 n = 0; n < ARRAY_SIZE(finding->value); n++)
		finding->value[n] = value[n];
	save_registers(&finding->regs, registers);
	finding->has_regs = 1;
	if (peek(finding->bytes_found, ip - 8, sizeof(finding->bytes_found))) {
		finding->bytes_addr = ip - 8;
		memcpy(finding->bytes_expected, finding->bytes_found,
		       sizeof(finding->bytes_expected));
	}
	finding->kind = kind;
	engine_end(RUN_FAILED);
}

/* The lowest page of a stack is not there. */
static bool is_overflow(u64 addr)
{
	const struct fiber *fiber = engine.cpu->fiber;

	return fiber->stack - addr - 1 < engine.stack_stride - fiber->size;
}

static void crashed(int number, siginfo_t *info, void *context)
{
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	bool known = info->si_code > 0 && info->si_code != SI_KERNEL;
	u64 addr = known ? (u64)info->si_addr : 0;
	u64 value[6] = { number, addr, registers[REG_TRAPNO], registers[REG_ERR] };
	struct text_crash text;

	if (!engine.cpu || info->si_code <= 0)
		die(number, registers, addr);
	if (engine.text_interrupted && engine.text_interrupted(registers[REG_RIP], &text))
		report_text_crash(&text, value);
	if (is_machine_text(registers[REG_RIP]) && !is_announced(addr, known) &&
	    !is_overflow(addr))
		die(number, registers, addr);
	report_crash(FINDING_CRASH, registers, value);
}

/* Places of loops that were found already, the newest ones. */
static u64 known_loops[NR_KNOWN];

static bool is_known_loop(u64 ip)
{
	for (u32 n = 0; n < NR_KNOWN; n++) {
		if (ip - known_loops[n] + NEAR < 2 * NEAR)
			return true;
	}
	return false;
}

static void note_loop(u64 ip)
{
	static u32 place;

	if (!is_known_loop(ip))
		known_loops[place++ % NR_KNOWN] = ip;
}

/* A loop that comes to no step never comes to an end either. */
static void looked(int number, siginfo_t *info, void *context)
{
	static u64 last;
	static u32 idle;
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	u64 now = engine.total_steps + engine.steps + engine.decisions;
	u64 ip = registers[REG_RIP], value[6] = { 0 };

	if (!engine.cpu || now != last) {
		last = now;
		idle = 0;
		return;
	}
	idle++;
	/* A loop over memory of its own is in a hook now and then, which is not to be left. */
	if (is_machine_text(ip))
		return;
	if (READ_ONCE(the_explore->stop) == STOP_NOW && idle >= KNOWN_IDLE_LOOKS)
		engine_end(RUN_BOUND);
	if (idle < (is_known_loop(ip) ? KNOWN_IDLE_LOOKS : MAX_IDLE_LOOKS))
		return;
	idle = 0;
	note_loop(ip);
	value[0] = engine.cpu->id;
	value[1] = (u64)MAX_IDLE_LOOKS * WATCH_US / 1000;
	value[2] = engine.cpu->fiber->index;
	/* Where it was last seen: it may be anywhere in its loop now. */
	value[3] = engine.cpu->pending.pc;
	report_crash(FINDING_NO_PROGRESS, registers, value);
}

void crash_init(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	static u8 alternate[ALTERNATE_SIZE] __attribute__((aligned(64)));
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction action = {
		.sa_sigaction = crashed,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	struct itimerval every = {
		.it_interval = { .tv_usec = WATCH_US },
		.it_value = { .tv_usec = WATCH_US },
	};

	sigaltstack(&stack, NULL);
	for (u32 n = 0; n < ARRAY_SIZE(signals); n++)
		sigaction(signals[n], &action, NULL);
	action.sa_sigaction = looked;
	action.sa_flags |= SA_RESTART;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
}
