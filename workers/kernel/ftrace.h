/* SPDX-License-Identifier: MIT */
/*
 * Tracers of functions. A function that can be traced begins with a nop of five bytes, which
 * becomes a call while somebody traces it: of ftrace_caller, which calls a C function for the
 * tracers; or, if there is only one, of a trampoline that is the tracer's own.
 *
 * Names and rules are those of kernel/trace/ftrace.c and arch/x86/kernel/ftrace.c (Linux v6.12).
 */
#ifndef KERNEL_FTRACE_H
#define KERNEL_FTRACE_H

#include <kernel/completion.h>
#include <kernel/mutex.h>

#define MCOUNT_INSN_SIZE 5    /* bytes of the nop, and of the call */

/* What the text saves of the traced function's registers, in the order of the stack. */
struct ftrace_regs {
	u64 bp, r11, r10, r9, r8, di, si, dx, cx, ax;
};

struct ftrace_ops;

/*
 * Called for a traced function: @ip is its site, @parent_ip where it returns to. Context:
 * wherever the function is called, on top of it; see the flags of the tracer.
 */
typedef void (*ftrace_func_t)(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			      struct ftrace_regs *fregs);

#define FTRACE_OPS_FL_ENABLED 0x1       /* registered */
#define FTRACE_OPS_FL_DYNAMIC 0x2       /* lies in memory that may be freed; found out */
#define FTRACE_OPS_FL_RECURSION 0x4     /* not called while a callback of the context runs */
#define FTRACE_OPS_FL_RCU 0x8           /* not called where RCU does not watch */
#define FTRACE_OPS_FL_REMOVING 0x10     /* being unregistered */
#define FTRACE_OPS_FL_NO_TRAMPOLINE 0x20 /* always by ftrace_caller; before registering */
#define FTRACE_OPS_FL_INITIALIZED 0x40  /* regex_lock may be used */

/*
 * Its callback may sleep. A task that sleeps is waited for by no flavour of RCU, so those in the
 * callback are counted; and nobody else traces its functions, for the list does not sleep.
 */
#define FTRACE_OPS_FL_SLEEPS 0x80

/* Which functions a tracer traces. Never changed once a tracer has it. */
struct ftrace_hash {
	u32 bits;             /* log2 of the places */
	u32 count;            /* of functions; 0 = all */
	u64 ip[];             /* sites, by a hash of them; 0 = an empty place */
};

/* A tracer. Fields without a comment of their own: under ftrace_lock. */
struct ftrace_ops {
	ftrace_func_t func;   /* the owner writes, before registering */
	void *private;        /* the owner's */
	struct ftrace_ops *next; /* RCU-tasks-rude */
	u32 flags;            /* FTRACE_OPS_FL_*; under ftrace_lock, all read */
	u32 active;           /* if it sleeps: who is in func, and 1 while registered; atomic */
	struct ftrace_hash *filter; /* RCU-tasks-rude; NULL = all functions */
	u64 trampoline;       /* its own: text address; 0 = has none */
	u64 entry;            /* text that jumps to func; 0 = has none */
	struct mutex regex_lock; /* taken by who changes the filter */
	struct completion left; /* if it sleeps: the last one has left func */
};

/* One function that can be traced. */
struct dyn_ftrace {
	u64 ip;               /* its site; never changes */
	u64 target;           /* what the site calls now; 0 = nothing.  Under text_mutex */
	u64 wanted;           /* what it is about to call; under ftrace_lock */
	u32 count;            /* tracers; under ftrace_lock */
	u32 flags;            /* FTRACE_FL_*; under ftrace_lock */
};

#define FTRACE_FL_ENABLED 0x1 /* the site calls something */
#define FTRACE_FL_TRAMP 0x2   /* ... a tracer's own trampoline */
#define FTRACE_FL_ALONE 0x4   /* ... of a tracer that sleeps, besides which there is no other */

/*
 * Start and end to trace. When unregister_ftrace_function() has returned, @ops may be freed:
 * nobody calls it, is in it, or in its trampoline. -EBUSY, -EINVAL: it is registered, or not.
 * -EBUSY, too, if one of them sleeps and another traces the same function. -ENOENT: text has no
 * functions that can be traced. -ENOSPC: no room for a trampoline that it needs. Context: task,
 * may sleep.
 */
int register_ftrace_function(struct ftrace_ops *ops);
int unregister_ftrace_function(struct ftrace_ops *ops);

/*
 * Which functions @ops traces: those at @ips, and unless @reset those that it traces already.
 * None = all. May be called at any time. -EINVAL: no function that can be traced. -EBUSY as above.
 */
int ftrace_set_filter_ips(struct ftrace_ops *ops, const u64 *ips, u32 count, bool reset);

/* Give the filter back. Context: @ops is not registered; task, may sleep. */
void ftrace_free_filter(struct ftrace_ops *ops);

/* The site that @ip lies in, or 0. Any context where RCU watches. */
u64 ftrace_location(u64 ip);

/* Called by text.c for a module that is coming, or going; may sleep. */
void ftrace_module_init(int module);
void ftrace_release_mod(int module);

/*
 * Claim that nobody traces and no site calls anything, and give back what was allocated:
 * who traces next begins anew. Returns how many sites or tracers are left.
 */
s64 ftrace_audit(void);

/* Counters; atomic, or under ftrace_lock. */
struct ftrace_stats {
	u64 registered;       /* tracers */
	u64 unregistered;
	u64 pokes;            /* sites that were changed */
	u64 trampolines;      /* made */
	u64 trampolines_freed;
	u64 recursions;       /* callbacks not called because one was running */
	u64 preempted_on_trampoline;    /* tasks interrupted there, that lost their CPU */
	u64 preempted_below_trampoline; /* ... in what it had called */
};

extern struct ftrace_stats ftrace_stats;

#endif
