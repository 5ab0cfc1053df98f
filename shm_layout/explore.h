/* SPDX-License-Identifier: MIT */
/*
 * What Python and one explorer process share: a job, its result, and the events
 * of the run that is shown.
 *
 * Python writes the job and a byte to the control pipe; the explorer writes the
 * result and a byte to the status pipe. One block per process, at EXPLORE_BASE.
 */
#ifndef SHM_LAYOUT_EXPLORE_H
#define SHM_LAYOUT_EXPLORE_H

#include "finding.h"

#define EXPLORE_BASE 0x120000000000UL
#define EXPLORE_MAGIC 0x6572706c6f7865ULL

#define VIRTUAL_CPUS 16       /* CPUs of a virtual machine; a thread of a pthread program is one */
#define VIRTUAL_STORES 64     /* stores that one buffer can hold at most; a power of two */

#define MAX_INTERVENTIONS 65536
#define MAX_SHOWN_EVENTS 32768
#define MAX_PREFIXES 1024     /* parts that a tree is cut into */
#define PREFIX_CHOICES 64     /* choices above such a part, at most */
#define CHECKPOINT_CHOICES 64 /* one state hash for so many choices */
#define MAX_CHECKPOINTS 1024

/*
 * Agents: who can be given the next step. Bit n of a mask of agents is agent n.
 * A CPU does its pending operation and goes on to the next one; a drain commits
 * the oldest store of a CPU's buffer; an interrupt is taken by a CPU; a tick
 * makes the interrupt of its timers or of a device pending, or is an NMI.
 */
enum agent_kind { AGENT_CPU, AGENT_DRAIN, AGENT_IRQ, AGENT_TICK };
#define AGENT(kind, cpu) ((kind) * VIRTUAL_CPUS + (cpu))
#define AGENT_KIND(agent) ((agent) / VIRTUAL_CPUS)
#define AGENT_OF_CPU(agent) ((agent) % VIRTUAL_CPUS)
#define AGENTS 64
#define AGENT_NOBODY 255      /* intervention.cpu: no CPU could have gone on */
/* A choice of data, made by a CPU in the middle of its operation: option n is "agent" PICK(n). */
#define PICK(n) (AGENTS + (n))
#define IS_PICK(agent) ((agent) >= AGENTS)
#define OPTION_OF(agent) ((agent) - AGENTS)
#define MAX_PICKS 64

/*
 * One choice that differs from the default: where CPU @cpu was about to do its
 * operation number @event, @agent goes instead. Several for one place are taken
 * in order. The default: the CPU that ran goes on; if it cannot, the next one
 * that can, counted upwards; then drains, one buffer after the other; then
 * interrupts; ticks last.
 *
 * A choice of data is one of @cpu that has begun @event operations; its default
 * is option 0. PICK(0) stands in a list only to tell that the next one is for a
 * later choice of data between the same two operations.
 */
struct intervention {
	u32 event;            /* operations that the CPU has done */
	u16 cpu;              /* 0..VIRTUAL_CPUS-1; AGENT_NOBODY */
	u16 agent;            /* AGENT(kind, cpu); PICK(option) */
};

enum explore_command {
	EXPLORE_NOTHING,
	EXPLORE_SEARCH,       /* runs [first_run, first_run + runs) of a strategy */
	EXPLORE_EXHAUST,      /* every schedule below a prefix, by SLEEP, DPOR or STATEFUL */
	EXPLORE_REPLAY,       /* one run by job.schedule, with events */
	EXPLORE_MINIMIZE,     /* the smallest schedule that ends as job.schedule does */
	EXPLORE_SPLIT,        /* cut the tree of EXHAUST into about job.runs prefixes */
};

enum explore_strategy {
	STRATEGY_RANDOM,
	STRATEGY_WEIGHTED,    /* random; each agent has another weight in each run */
	STRATEGY_PCT,         /* job.depth; 0 = 2, 3 and 4 in rotation */
	STRATEGY_POS,
	STRATEGY_SURW,
	STRATEGY_PORTFOLIO,
	STRATEGY_SLEEP,       /* exhaustive: sleep sets */
	STRATEGY_DPOR,        /* exhaustive: source sets and sleep sets */
	STRATEGY_STATEFUL,    /* exhaustive: each state once */
	STRATEGY_REPLAY,      /* default schedule and interventions */
	STRATEGY_PYTHON,      /* asks over the pipes */
	STRATEGY_ROUND_ROBIN, /* fair turns: for comparison and for boot */
	STRATEGIES
};

/* How one run ended. */
enum run_end {
	RUN_PASSED,
	RUN_FAILED,           /* a finding */
	RUN_ASSUMED,          /* an assumption did not hold: not a run of the program */
	RUN_BOUND,            /* step bound: unknown */
	RUN_CUT,              /* exhaustive: the rest was or will be seen elsewhere */
	RUN_DIVERGED,         /* a replay did not find its choice */
	RUN_ENDS
};

#define EXPLORE_RACES 0x1     /* look for data races */
#define EXPLORE_ALL 0x2       /* go on after a finding; count them */
#define EXPLORE_SC 0x4        /* no store buffers: sequential consistency */
#define EXPLORE_STRICT 0x8    /* replay: an intervention that does not apply is divergence */
#define EXPLORE_SHOW 0x10     /* write events of the (last) run */
#define EXPLORE_CHECK 0x20    /* replay some runs and compare: self-check */
#define EXPLORE_DELAYS 0x40   /* the bound of an exhaustive search is of delays */

/* Python writes. */
struct explore_job {
	u32 command;          /* enum explore_command */
	u32 strategy;         /* enum explore_strategy */
	u32 depth;            /* PCT: d; exhaustive: bound of preemptions or delays + 1,
				 0 = none */
	u32 flags;            /* EXPLORE_* */
	u64 seed;
	u64 first_run;
	u64 runs;             /* SEARCH, EXHAUST: at most so many; SPLIT: how many prefixes */
	u32 max_steps;        /* operations of one run, then it is RUN_BOUND */
	u32 buffer;           /* stores that a buffer holds, 1..VIRTUAL_STORES */
	u32 ticks;            /* timer interrupts per CPU and run */
	u32 nr_interventions; /* of schedule */
	u32 nr_prefix;        /* EXHAUST: choices in prefix[] */
	u32 pad;
	u64 signature;        /* MINIMIZE: what to keep */
	struct intervention schedule[MAX_INTERVENTIONS];
	u64 prefix_sleep[4096]; /* EXHAUST, SPLIT: agents asleep or done at each choice */
	u8 prefix[4096];      /* the agent of each choice, or PICK(option) */
};

/* One event of the run that is shown, in order. */
struct shown_event {
	u8 agent;             /* who took the step: AGENT() */
	u8 kind;              /* enum event_kind */
	u8 size;              /* bytes; 0 = no access */
	u8 flags;             /* SHOWN_* */
	u8 cpu;
	u8 buffered;          /* stores in this CPU's buffer after the step */
	u16 task;             /* index of the task, pthread programs: of the thread */
	u32 event;            /* operations that the CPU had done */
	u32 drained;          /* a drain: place of its store in shown[] */
	u64 addr;
	u64 value;            /* read or written */
	u64 old;              /* written: what was there before; drain: in memory before */
	u64 pc;               /* return address of the hook */
	u64 caller[3];        /* return addresses above; 0 = none */
};

#define SHOWN_PLAIN 0x1
#define SHOWN_FORWARDED 0x2   /* a load that its own buffer answered */
#define SHOWN_CHOICE 0x4      /* there was a choice here */
#define SHOWN_INTERVENTION 0x8 /* and it was not the default */
#define SHOWN_IN_IRQ 0x10
#define SHOWN_ACQUIRE 0x20
#define SHOWN_RELEASE 0x40
#define SHOWN_UNDONE 0x80     /* the run ended before the value was there */

enum event_kind {
	EVENT_KIND_NONE,
	EVENT_KIND_LOAD,
	EVENT_KIND_STORE,     /* enters the buffer; without buffers: memory */
	EVENT_KIND_RMW,       /* locked: empty buffer */
	EVENT_KIND_ADD,       /* likewise, and nobody looks at what was there: shown as RMW */
	EVENT_KIND_FENCE,     /* empty buffer */
	EVENT_KIND_LOCK,      /* of a mutex: free, and empty buffer */
	EVENT_KIND_UNLOCK,
	EVENT_KIND_AWAIT,     /* a word has another value than the one given */
	EVENT_KIND_RELAX,     /* somebody else has committed a store */
	EVENT_KIND_JOIN,      /* another CPU has ended */
	EVENT_KIND_FULL,      /* the buffer has room for so many bytes */
	EVENT_KIND_DRAIN,
	EVENT_KIND_IRQ,       /* an interrupt is taken */
	EVENT_KIND_TICK,      /* something interrupts; value: line + 1; 0 = tick; 9 = timer */
	EVENT_KIND_IDLE,      /* an interrupt is pending */
	EVENT_KIND_SWITCH,    /* the CPU goes to another task */
	EVENT_KIND_CREATE,    /* a thread is made */
	EVENT_KIND_EXIT,      /* empty buffer */
	EVENT_KIND_ALLOC,
	EVENT_KIND_FREE,
	EVENT_KIND_SIGNAL,    /* of a condition variable, or a wake-up */
	EVENT_KIND_POINT,     /* nothing is touched, but anything may come between */
	EVENT_KIND_FETCH,     /* an instruction is fetched from text that is patched at some time */
	EVENT_KIND_SYNC,      /* what was fetched before is fetched again; empty buffer */
	EVENT_KIND_PICK,      /* a choice of data: option value of old; no operation */
	EVENT_KIND_NMI,       /* one is taken; value 1: its handlers have returned */
	EVENT_KINDS
};

/* What explore_outcome() was given, and how often. A slot with runs == 0 is free. */
struct outcome {
	u64 value;
	u64 runs;
};

#define MAX_OUTCOMES 4096     /* a power of two */

/* What a CPU that cannot go on waits for. */
enum waiting_for {
	WAITING_WORD,         /* a word at object to be another than value */
	WAITING_MUTEX,        /* object to be given back */
	WAITING_JOIN,         /* a CPU to end */
	WAITING_CONDITION,    /* a signal to the condition variable */
	WAITING_READ_LOCK,    /* a writer to leave */
	WAITING_WRITE_LOCK,   /* readers or a writer to leave */
	WAITING_SEMAPHORE,
	WAITING_BARRIER,      /* others to come to it as well */
	WAITING_ONCE,         /* another CPU to be done with the initialization */
	WAITING_ANYTHING,     /* somebody to change something: a loop that looks again and again */
	WAITING_SPINLOCK,     /* of a kernel's tasks: object to be given back */
	WAITING_COMPLETION,
	WAITING_CROSS_CALL,   /* a CPU to do what object says */
	WAITING_GRACE_PERIOD, /* a CPU to pass through a quiescent state */
	WAITING_STOP_MACHINE, /* other stoppers to come to the same state */
	WAITING_TIMER,        /* the function of a timer to return */
	WAITING_FLUSH,        /* work to be done */
	WAITING_QUEUE,        /* a wake-up by way of a wait queue */
	WAITING_IRQ_WORK,     /* its function to return */
};

/* A CPU that waits for ever. */
struct waiting {
	u32 cpu;
	u32 what;             /* enum waiting_for */
	u32 waits_for;        /* the CPU that would have to act; AGENT_NOBODY = not known */
	u32 in_cycle;         /* 1 = waits for one that waits for it */
	u32 task;             /* index of the task or thread */
	u32 owner;            /* 1 + index of the task that would have to act; 0 = by its CPU */
	u64 object;           /* address; 0 = none */
	u64 value;            /* that is found there */
	u64 pc;
	u64 caller[7];        /* return addresses above; 0 = none */
};

/* SPLIT: a part of the tree, to be written into a job's prefix[] and prefix_sleep[]. */
struct prefix {
	u64 sleep[PREFIX_CHOICES];
	u8 agent[PREFIX_CHOICES]; /* or PICK(option) */
	u32 count;            /* choices */
	u32 pad;
};

/* The explorer writes; valid when it has said so on the status pipe. */
struct explore_result {
	u32 state;            /* 0 = working, 1 = done, 2 = the job makes no sense */
	u32 end;              /* enum run_end of the last run, or of the failing one */
	u64 executions;       /* runs begun */
	u64 ends[RUN_ENDS];   /* by enum run_end */
	u64 decisions;        /* choices between at least two agents */
	u64 steps;            /* operations */
	u64 nanoseconds;
	u64 failing_run;      /* number of the first failing run; all ones = none */
	u64 signature;        /* of the first failing run */
	u64 states;           /* STATEFUL: different ones */
	u64 longest;          /* operations of the longest run */
	u64 replays;          /* MINIMIZE, CHECK: runs made for it */
	u64 diverged;         /* REPLAY, CHECK: choice at which, + 1; 0 = none */
	u32 complete;         /* EXHAUST: 1 = nothing was left out below the prefix */
	u32 bounded;          /* 1 = a step or preemption bound was reached */
	u32 nr_interventions;
	u32 nr_shown;
	u32 nr_checkpoints;
	u32 nr_passing;       /* interventions of passing[] */
	u32 all_within;       /* EXHAUST: 1 = all below the bound of preemptions or delays */
	u32 flip_first;       /* MINIMIZE: the two events of shown[] whose order decides, + 1 */
	u32 flip_second;      /* 0 = it did not come to it, or is not shown */
	u32 flip_waits;       /* MINIMIZE: CPU + 1 that had not come to the second; 0 = it had */
	u32 has_passing;      /* MINIMIZE: 1 = passing[] is a schedule that passes */
	u32 nr_prefixes;      /* SPLIT: written to prefixes[] */
	u32 nr_outcomes;      /* slots of outcome[] in use */
	u64 lost_outcomes;    /* runs whose outcome found no slot */
	struct finding finding; /* of the failing run; kind 0 = none */
	struct waiting waiting[VIRTUAL_CPUS]; /* DEADLOCK, LOST_WAKEUP: who cannot go on */
	u32 nr_waiting;
	u32 assertion_line;   /* CLAIM by assert(): where, and what; 0 = not by assert() */
	char assertion_file[256]; /* NUL-terminated, cut if it is longer */
	char assertion[256];  /* likewise */
	struct intervention schedule[MAX_INTERVENTIONS];
	struct intervention passing[4096]; /* the nearest schedule that passes */
	u64 checkpoint[MAX_CHECKPOINTS]; /* hash of the state at choice 64, 128, ... */
	struct shown_event shown[MAX_SHOWN_EVENTS];
	struct outcome outcome[MAX_OUTCOMES]; /* in no order */
	struct prefix prefixes[MAX_PREFIXES]; /* in the order in which they would be searched */
};

/* A task of a kernel program: by TASK() of workers/include/explore.h, or of a scenario. */
struct explored_task {
	s64 (*function)(void *argument);
	void *argument;
	u32 cpu;
	u32 line;             /* of its source: tasks begin in this order */
	u32 own;              /* bytes at argument that are its own: see below; 0 = none */
	char name[36];        /* NUL-terminated */
};

/*
 * What a task has for itself alone: it writes there, no interrupt of its CPU looks at it, and
 * another task reads only what it has been told by other means.
 */
static_assert(sizeof(struct explored_task) == 64, "an array in a section has no gaps");

#define MAX_EXPLORED_TASKS 64

/* An interrupt of a kernel program: by IRQ() or NMI() of explore.h, or of a scenario. */
struct explored_interrupt {
	void (*function)(void *argument);
	void *argument;
	u32 cpu;
	u32 nmi;              /* 1 = it cannot be held off */
	u32 times;            /* in one run, at most; 1..255 */
	u32 line;             /* of its source: they are numbered in this order */
};

static_assert(sizeof(struct explored_interrupt) == 32, "an array in a section has no gaps");

#define MAX_EXPLORED_INTERRUPTS 32

/* What nobody writes once tasks have begun: the same bytes of each element of a table. */
struct explored_constant {
	u64 start;            /* of the first, in the first TABLES_BYTES of REGION_HARNESS */
	u32 size;             /* bytes; a multiple of 4, as start is */
	u32 stride;           /* from one element to the next, bytes */
	u32 count;            /* elements */
	u32 pad;
};

#define MAX_EXPLORED_CONSTANTS 64
#define TABLES_BYTES (512u << 10)

#define STOP_SOON 1           /* end the job with what there is */
#define STOP_NOW 2            /* nobody wants its result: no need to wait for a run's end */

struct explore {
	u64 magic;            /* EXPLORE_MAGIC: Python writes it last */
	u32 index;            /* of this process */
	u32 cpus;             /* kernel programs: CPUs to boot */
	u32 heartbeat;        /* the explorer adds now and then while it works */
	u32 stop;             /* Python: STOP_* */
	u64 progress;         /* executions of the job so far */
	/* Python: tasks, interrupts and functions besides those that the C files mark. */
	u32 nr_tasks;
	u32 nr_interrupts;
	u32 nr_constants;
	u32 pad0;
	s64 (*before)(void);  /* called alone before any task begins; not 0 = a claim is false */
	s64 (*check)(void);   /* called alone when all tasks have ended; not 0 = a claim is false */
	struct explored_task task[MAX_EXPLORED_TASKS];
	struct explored_interrupt interrupt[MAX_EXPLORED_INTERRUPTS];
	struct explored_constant constant[MAX_EXPLORED_CONSTANTS];
	struct explore_job job;
	struct explore_result result;
	/* STRATEGY_PYTHON: the question, and its answer. */
	u64 ask_enabled;      /* 0: a choice of data */
	u32 ask_current;
	u32 ask_options;      /* of a choice of data */
	u32 answer;           /* an agent, or PICK(option) */
	u32 pad1;
	struct { u64 addr; u32 size; u32 kind; } ask_pending[AGENTS];
};

#define the_explore ((struct explore *)EXPLORE_BASE)

#endif
