// SPDX-License-Identifier: MIT
/*
 * Tracers come and go. Text is changed in an order in which nobody is ever called with what is
 * another one's: ftrace_caller calls the list while sites change, for that one looks at whom a
 * function belongs to.
 *
 * Who leaves waits for everybody who may still be in it: CPUs with preemption off, wherever they
 * are (RCU-tasks-rude), and tasks that were preempted in its trampoline (RCU-tasks).
 */
#include <error.h>
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/ftrace_internal.h>
#include <kernel/ftrace_trampoline.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/smp.h>
#include <kernel/text_poke.h>
#include <memory.h>
#include <x86/ftrace_insn.h>

/* Tracers that ftrace_caller does not call without looking. */
#define FTRACE_LIST_FLAGS \
	(FTRACE_OPS_FL_DYNAMIC | FTRACE_OPS_FL_RCU | FTRACE_OPS_FL_RECURSION | FTRACE_OPS_FL_SLEEPS)

#define FTRACE_UPDATE_CALLS 0x1
#define FTRACE_UPDATE_TRACE_FUNC 0x2

DEFINE_MUTEX(ftrace_lock);
static DEFINE_SPINLOCK(ftrace_ops_init_lock); /* FTRACE_OPS_FL_INITIALIZED of all */

/* Under ftrace_lock. */
static u64 ftrace_trace_function; /* what ftrace_caller is to call: text; 0 = not set up */
static u64 called_function;   /* what it calls */
static u64 set_function_trace_op; /* what it is to pass on; 0 = as it was loaded */

/* Several may register the first time at once: the lock in it is made by one of them. */
void ftrace_ops_init(struct ftrace_ops *ops)
{
	spin_lock(&ftrace_ops_init_lock);
	if (!(ops->flags & FTRACE_OPS_FL_INITIALIZED)) {
		mutex_init(&ops->regex_lock);
		WRITE_ONCE(ops->flags, ops->flags | FTRACE_OPS_FL_INITIALIZED);
	}
	spin_unlock(&ftrace_ops_init_lock);
}

static void set_flags(struct ftrace_ops *ops, u32 set, u32 clear)
{
	WRITE_ONCE(ops->flags, (ops->flags & ~clear) | set);
}

/* The C data of the core is never freed. */
static bool is_dynamic(const struct ftrace_ops *ops)
{
	const struct region *heap = &the_machine->region[REGION_HEAP];

	return (u64)ops - ARENA_BASE - heap->offset < heap->size;
}

static void add_ftrace_ops(struct ftrace_ops *ops)
{
	WRITE_ONCE(ops->next, ftrace_ops_list);
	/* The tracer before whoever sees it in the list. */
	smp_store_release(&ftrace_ops_list, ops);
}

static void remove_ftrace_ops(struct ftrace_ops *ops)
{
	struct ftrace_ops **place = &ftrace_ops_list;

	while (*place != ops)
		place = &(*place)->next;
	smp_store_release(place, ops->next);
}

/* Whom ftrace_caller may call without looking: one that is never freed, and wants it so. */
static u64 ftrace_ops_get_list_func(const struct ftrace_ops *ops)
{
	if (ops->flags & FTRACE_LIST_FLAGS || !ops->entry)
		return ftrace_text.list;
	return ops->entry;
}

/* What ftrace_caller is to call now. Returns true if that is another one. */
static bool update_ftrace_function(void)
{
	u64 before = ftrace_trace_function;

	set_function_trace_op = 0;
	if (ftrace_ops_list == &ftrace_list_end) {
		ftrace_trace_function = ftrace_text.stub;
	} else if (ftrace_ops_list->next == &ftrace_list_end) {
		ftrace_trace_function = ftrace_ops_get_list_func(ftrace_ops_list);
		set_function_trace_op = (u64)ftrace_ops_list;
	} else {
		ftrace_trace_function = ftrace_text.list;
	}
	return ftrace_trace_function != before;
}

/* The only tracer of a function. */
static const struct ftrace_ops *only_tracer(const struct dyn_ftrace *rec)
{
	struct ftrace_ops *op;

	for (op = ftrace_ops_list; op != &ftrace_list_end; op = op->next) {
		if (!(op->flags & FTRACE_OPS_FL_REMOVING) && ftrace_ops_test(op, rec->ip))
			return op;
	}
	return NULL;
}

void ftrace_rec_update(struct dyn_ftrace *rec, int change)
{
	const struct ftrace_ops *only;

	rec->count += change;
	rec->flags = rec->count ? FTRACE_FL_ENABLED : 0;
	rec->wanted = rec->count ? ftrace_text.caller : 0;
	only = rec->count == 1 ? only_tracer(rec) : NULL;
	if (only && only->trampoline) {
		rec->flags |= FTRACE_FL_TRAMP;
		if (only->flags & FTRACE_OPS_FL_SLEEPS)
			rec->flags |= FTRACE_FL_ALONE;
		rec->wanted = only->trampoline;
	}
}

bool ftrace_may_trace(const struct ftrace_ops *ops, const struct ftrace_hash *old,
		      const struct ftrace_hash *new)
{
	bool alone = ops->flags & FTRACE_OPS_FL_SLEEPS;
	struct ftrace_page *page;
	struct dyn_ftrace *rec;

	do_for_each_ftrace_rec(page, rec) {
		bool had = ops->flags & FTRACE_OPS_FL_ENABLED && ftrace_filter_has(old, rec->ip);

		if (had || !ftrace_filter_has(new, rec->ip))
			continue;
		if (rec->flags & FTRACE_FL_ALONE || (alone && rec->count))
			return false;
	}
	return true;
}

/* Count @ops at all functions that it traces, or no more. Returns true if text is to change. */
static bool ftrace_hash_rec_update(struct ftrace_ops *ops, int change)
{
	struct ftrace_page *page;
	struct dyn_ftrace *rec;
	bool update = false;

	do_for_each_ftrace_rec(page, rec) {
		if (!ftrace_ops_test(ops, rec->ip))
			continue;
		ftrace_rec_update(rec, change);
		update |= rec->wanted != rec->target;
	}
	return update;
}

/* What stands there must be what was put there, or nobody knows what is being changed. */
static bool ftrace_verify_code(const struct dyn_ftrace *rec)
{
	u8 expected[MCOUNT_INSN_SIZE];

	ftrace_insn_site(expected, rec->ip, rec->target);
	if (!compare_bytes(text_alias(rec->ip), expected, sizeof(expected)))
		return true;
	report_finding(FINDING_TEXT_CORRUPT, text_last_writer(rec->ip), rec->ip, expected[0],
		       *text_alias(rec->ip));
	return false;
}

/* Every site that is to call something else. text_mutex is held. */
static void ftrace_replace_code(void)
{
	u8 bytes[MCOUNT_INSN_SIZE];
	struct ftrace_page *page;
	struct dyn_ftrace *rec;

	do_for_each_ftrace_rec(page, rec) {
		if (rec->wanted == rec->target || !ftrace_verify_code(rec))
			continue;
		ftrace_insn_site(bytes, rec->ip, rec->wanted);
		text_poke_queue(rec->ip, bytes, sizeof(bytes), NULL);
		rec->target = rec->wanted;
		ftrace_stats.pokes++;
	}
	text_poke_finish();
}

static void update_ftrace_func(u64 function)
{
	u8 bytes[MCOUNT_INSN_SIZE];

	if (function == called_function)
		return;
	ftrace_insn_site(bytes, ftrace_insn_call(), function);
	text_poke_bp(ftrace_insn_call(), bytes, sizeof(bytes), NULL);
	called_function = function;
}

static void write_function_trace_op(void)
{
	u64 *word = (u64 *)text_alias(ftrace_insn_op());

	WRITE_ONCE(*word, set_function_trace_op ? set_function_trace_op :
		   *(const u64 *)text_pristine(ftrace_insn_op()));
}

static void ftrace_sync_ipi(void *unused)
{
	/* The word before the call that is about to be changed; pairs with smp_wmb() there. */
	smp_rmb();
}

static void ftrace_code_lock(void)
{
	cpus_read_lock();
	mutex_lock(&text_mutex);
}

static void ftrace_code_unlock(void)
{
	mutex_unlock(&text_mutex);
	cpus_read_unlock();
}

/*
 * An interrupt, also one that takes the CPU away, may have come between the load of the tracer
 * and the call: whoever goes on there has the old one, however late, and must not call the new
 * function. (Linux does without; our analysis.)
 */
static void wait_for_old_op(void)
{
	ftrace_code_unlock();
	synchronize_rcu_tasks_rude();
	synchronize_rcu_tasks();
	ftrace_code_lock();
}

static void ftrace_modify_all_code(u32 command)
{
	bool update = command & FTRACE_UPDATE_TRACE_FUNC;

	ftrace_code_lock();
	/* Sites that change call ftrace_caller for more than the one tracer, or for another. */
	if (update)
		update_ftrace_func(ftrace_text.list);
	if (command & FTRACE_UPDATE_CALLS)
		ftrace_replace_code();
	if (update && ftrace_trace_function != ftrace_text.list) {
		write_function_trace_op();
		/* Every CPU passes the new tracer on before it can call the new function. */
		smp_wmb();
		on_each_cpu(ftrace_sync_ipi, NULL, true);
		if (ftrace_trace_function != ftrace_text.stub)
			wait_for_old_op();
		update_ftrace_func(ftrace_trace_function);
	}
	ftrace_code_unlock();
}

void ftrace_update_calls(void)
{
	ftrace_modify_all_code(FTRACE_UPDATE_CALLS);
}

static int ftrace_init(void)
{
	int error = ftrace_sites_init();

	if (!error)
		error = ftrace_trampoline_init();
	if (!error && !ftrace_trace_function)
		ftrace_trace_function = called_function = ftrace_text.stub;
	return error;
}

static int ftrace_startup(struct ftrace_ops *ops)
{
	u32 command = 0;

	if (ops->flags & FTRACE_OPS_FL_ENABLED || !ftrace_may_trace(ops, NULL, ops->filter))
		return -EBUSY;
	if (is_dynamic(ops))
		set_flags(ops, FTRACE_OPS_FL_DYNAMIC, 0);
	ftrace_trampoline_create(ops);
	if (ops->flags & FTRACE_OPS_FL_SLEEPS) {
		if (!ops->trampoline) {
			ftrace_trampoline_free(ops);
			return -ENOSPC;
		}
		init_completion(&ops->left);
		WRITE_ONCE(ops->active, 1);
	}
	set_flags(ops, FTRACE_OPS_FL_ENABLED, 0);
	add_ftrace_ops(ops);
	if (update_ftrace_function())
		command |= FTRACE_UPDATE_TRACE_FUNC;
	if (ftrace_hash_rec_update(ops, 1))
		command |= FTRACE_UPDATE_CALLS;
	if (command)
		ftrace_modify_all_code(command);
	ftrace_stats.registered++;
	return 0;
}

/*
 * Whoever was in the trampoline is counted by now, or has left. Those that are counted still
 * have to return to it: so once more.
 */
static void wait_for_sleepers(struct ftrace_ops *ops)
{
	if (!atomic_dec_and_test(&ops->active))
		wait_for_completion(&ops->left);
	synchronize_rcu_tasks();
}

static int ftrace_shutdown(struct ftrace_ops *ops)
{
	u32 command = 0;

	if (!(ops->flags & FTRACE_OPS_FL_ENABLED))
		return -EINVAL;
	remove_ftrace_ops(ops);
	set_flags(ops, FTRACE_OPS_FL_REMOVING, FTRACE_OPS_FL_ENABLED);
	if (update_ftrace_function())
		command |= FTRACE_UPDATE_TRACE_FUNC;
	if (ftrace_hash_rec_update(ops, -1))
		command |= FTRACE_UPDATE_CALLS;
	if (command)
		ftrace_modify_all_code(command);
	set_flags(ops, 0, FTRACE_OPS_FL_REMOVING);
	/*
	 * It may be in use although no text had to change, and anywhere: by a CPU in the list, also
	 * where RCU does not watch; by a task that was preempted in its trampoline.
	 */
	if (ops->flags & FTRACE_OPS_FL_DYNAMIC) {
		synchronize_rcu_tasks_rude();
		synchronize_rcu_tasks();
		if (ops->flags & FTRACE_OPS_FL_SLEEPS)
			wait_for_sleepers(ops);
		ftrace_trampoline_free(ops);
	}
	ftrace_stats.unregistered++;
	return 0;
}

int register_ftrace_function(struct ftrace_ops *ops)
{
	int error;

	ftrace_ops_init(ops);
	mutex_lock(&ftrace_lock);
	error = ftrace_init();
	if (!error)
		error = ftrace_startup(ops);
	mutex_unlock(&ftrace_lock);
	return error;
}

int unregister_ftrace_function(struct ftrace_ops *ops)
{
	int error;

	mutex_lock(&ftrace_lock);
	error = ftrace_shutdown(ops);
	mutex_unlock(&ftrace_lock);
	return error;
}

s64 ftrace_audit(void)
{
	struct ftrace_page *page;
	struct dyn_ftrace *rec;
	s64 left = 0;

	mutex_lock(&ftrace_lock);
	do_for_each_ftrace_rec(page, rec)
		left += rec->count || rec->target;
	for (struct ftrace_ops *op = ftrace_ops_list; op != &ftrace_list_end; op = op->next)
		left++;
	if (!left)
		ftrace_sites_free();
	mutex_unlock(&ftrace_lock);
	return left;
}
