/* SPDX-License-Identifier: MIT */
/* What the files of the real machine share. */
#ifndef REAL_REAL_H
#define REAL_REAL_H

#include <machine.h>

#include <signal.h>
#include <ucontext.h>

#define SIG_IRQ SIGUSR1       /* an interrupt: look at cpu->irq_pending */
#define SIG_FREEZE SIGUSR2    /* write down where you are, and stand still */
#define SIG_NMI SIGURG        /* an NMI: cpu->nmi_pending says of which lines */

/* Boot steps, for the message when one fails. */
enum boot_step {
	BOOT_MAP = 1,
	BOOT_TEXT,
	BOOT_GLOBALS,
	BOOT_SIGNALS,
	BOOT_FORK,
	BOOT_THREAD,
	BOOT_ONLINE,
};

/* The task whose thread this is; the CPU may run the idle task on it. */
extern __thread struct task_struct *machine_self __attribute__((tls_model("local-exec")));

/* coordinator's eventfd; written by CPUs */
extern int notify_fd;

/* memory.c */
int map_machine(int memfd);
int map_text(int memfd);
int share_globals(int memfd);

/* futex.c */
int futex_wait(const u32 *word, u32 value, u64 timeout_ns);
void futex_wake(const u32 *word, int count);

/* wait.c */
bool machine_is_oversubscribed(void);
void kick_sleeper(struct cpu *cpu);

/* cores.c */
void cores_rotate(void);
void core_release(struct cpu *cpu);
void core_acquire(struct cpu *cpu, bool woken);
void core_kick(struct cpu *cpu);
void core_give_way(struct cpu *cpu, bool interrupted);

/* irq.c, trap.c */
int install_irq_handler(void);
void raise_nmi(int target, u32 lines);
void raise_irqs_left(struct cpu *cpu);
int install_trap_handlers(void);
int install_nmi_handler(void);
void regs_from_context(struct pt_regs *regs, const ucontext_t *context);
void regs_to_context(ucontext_t *context, const struct pt_regs *regs);

/* devices.c: by the coordinator. When devices interrupt next, machine time, ns; 0 = never. */
u64 devices_turn(u64 now);

/* cpu.c */
void cpu_main(u32 id) __attribute__((noreturn));

/* freeze.c */
int install_freeze_handler(void);
void freeze_cpus(void);

/* watchdog.c: look for waiters that wait too long; true if it made a finding. */
bool watchdog_turn(u32 turn_ms);
void report_lost_cpu(u32 cpu, int status);

/* coordinator.c: until the end of the machine; 0, or -errno */
int supervise(int control_fd, int status_fd);

#endif
