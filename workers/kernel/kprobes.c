// SPDX-License-Identifier: MIT
/*
 * The registry of kprobes.
 *
 * The order that everything rests on: a probe is in the hash table before its
 * breakpoint is in text, and until every CPU has seen the breakpoint go; and it
 * is freed only after a grace period that began after it had left the table.
 *
 * Rules follow kernel/kprobes.c (v6.12 and later); see kprobes.h for errors.
 */
#include <error.h>
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/fault.h>
#include <kernel/kprobe_internal.h>
#include <kernel/rcu.h>
#include <kernel/text_poke.h>
#include <trace.h>
#include <x86/insn.h>
#include <x86/singlestep.h>

struct hlist_head kprobe_table[KPROBE_TABLE_SIZE];
DEFINE_MUTEX(kprobe_mutex);
bool kprobes_all_disarmed;

/* Who took the last probe of a bucket away; for reports. Written under kprobe_mutex. */
static struct {
	u64 addr;             /* 0 = nobody yet */
	struct side side;
} leavers[KPROBE_TABLE_SIZE] __statistics;

/* The probe, or aggregator, that stands in the table at @p's address leaves it. */
static void unhash(struct kprobe *p)
{
	u64 bucket = kprobe_bucket(p->addr) - kprobe_table;

	WRITE_ONCE(leavers[bucket].addr, 0);
	smp_wmb(); /* Nobody's while it changes; pairs with kprobe_last_leaver(). */
	record_side(&leavers[bucket].side);
	smp_store_release(&leavers[bucket].addr, p->addr);
	hlist_del_rcu(&p->hlist);
}

const struct side *kprobe_last_leaver(u64 addr)
{
	u64 bucket = kprobe_bucket(addr) - kprobe_table;

	return smp_load_acquire(&leavers[bucket].addr) == addr ? &leavers[bucket].side : NULL;
}

/* Replace the first byte of @p's instruction, which is @from. Returns when all CPUs know. */
static void change_breakpoint(struct kprobe *p, u8 from, u8 to)
{
	u8 found;

	cpus_read_lock();
	mutex_lock(&text_mutex);
	found = *text_alias(p->addr);
	if (unlikely(found != from))
		report_finding(FINDING_BAD_STATE, text_last_writer(p->addr), (u64)p, found, from,
			       p->addr);
	text_poke_byte(p->addr, to);
	mutex_unlock(&text_mutex);
	cpus_read_unlock();
}

int arm_kprobe(struct kprobe *p)
{
	if (should_fail(the_machine->config.fail_arm))
		return -EBUSY;
	change_breakpoint(p, p->opcode, INT3_INSN_OPCODE);
	return 0;
}

void disarm_kprobe(struct kprobe *p)
{
	change_breakpoint(p, INT3_INSN_OPCODE, p->opcode);
}

/* What stands in the table for @p, if @p is registered: itself, or its aggregator. */
static struct kprobe *get_valid_kprobe(struct kprobe *p)
{
	struct kprobe *ap = get_kprobe(p->addr), *kp;

	if (!ap || ap == p)
		return ap;
	if (!kprobe_aggrprobe(ap))
		return NULL;
	list_for_each_entry(kp, &ap->list, list) {
		if (kp == p)
			return ap;
	}
	return NULL;
}

static int resolve(const struct kprobe *p, u64 *addr, const struct text_function **function)
{
	u64 start = p->addr;

	if (!p->addr == !p->symbol_name)
		return -EINVAL;
	if (p->symbol_name) {
		*function = text_function_named(p->symbol_name);
		if (!*function)
			return -ENOENT;
		start = (*function)->addr;
	}
	*addr = start + p->offset;
	*function = text_function_at(*addr);
	return *function ? 0 : -ENOENT;
}

/* On success the module is held. */
static int check_address(u64 addr, const struct text_function *function)
{
	if (!is_text(addr) || is_made_text(addr) || is_text_data(addr))
		return -EINVAL;
	/* A site that text_poke may replace belongs to whoever does. */
	if (kprobe_is_blacklisted(addr) || text_insn_at(addr)->flags & INSN_PATCHABLE)
		return -EINVAL;
	return try_module_get(function->module) ? 0 : -ENOENT;
}

/* The first one at its address. */
static int register_plain(struct kprobe *p)
{
	int error;

	mutex_lock(&text_mutex);
	error = arch_prepare_kprobe(p);
	mutex_unlock(&text_mutex);
	if (error)
		return error;
	/* In the table before the breakpoint is there. */
	hlist_add_head_rcu(&p->hlist, kprobe_bucket(p->addr));
	if (kprobes_all_disarmed || kprobe_disabled(p))
		return 0;
	error = arm_kprobe(p);
	if (error) {
		hlist_del_rcu(&p->hlist);
		synchronize_rcu();
		arch_remove_kprobe(p);
	}
	return error;
}

static int register_locked(struct kprobe *p)
{
	const struct text_function *function;
	struct kprobe *old;
	u64 addr, given = p->addr;
	int error;

	error = resolve(p, &addr, &function);
	if (error)
		return error;
	if (get_valid_kprobe(p))
		return -EINVAL;
	error = check_address(addr, function);
	if (error)
		return error;
	p->addr = addr;
	p->flags &= KPROBE_FLAG_DISABLED;
	p->nmissed = 0;
	INIT_LIST_HEAD(&p->list);
	INIT_HLIST_NODE(&p->hlist);
	old = get_kprobe(addr);
	error = old ? register_aggr_kprobe(old, p) : register_plain(p);
	if (error)
		p->addr = given;
	module_put(function->module);
	return error;
}

int register_kprobe(struct kprobe *p)
{
	int error;

	mutex_lock(&kprobe_mutex);
	error = register_locked(p);
	mutex_unlock(&kprobe_mutex);
	trace_event(EVENT_REGISTER, (u64)p, error);
	return error;
}

int register_kprobes(struct kprobe **kps, int num)
{
	for (int n = 0; n < num; n++) {
		int error = register_kprobe(kps[n]);

		if (error) {
			unregister_kprobes(kps, n);
			return error;
		}
	}
	return 0;
}

/* Returns what stands in the table for @p, or NULL: not registered. */
static struct kprobe *disable_locked(struct kprobe *p)
{
	struct kprobe *ap = get_valid_kprobe(p);

	if (!ap || kprobe_disabled(p))
		return ap;
	if (p != ap)
		kprobe_set_flag(p, KPROBE_FLAG_DISABLED);
	if (p == ap || aggr_all_disabled(ap)) {
		/* Only what is armed is disarmed. */
		if (!kprobes_all_disarmed && !kprobe_disabled(ap))
			disarm_kprobe(ap);
		kprobe_set_flag(ap, KPROBE_FLAG_DISABLED);
	}
	return ap;
}

int disable_kprobe(struct kprobe *p)
{
	int error;

	mutex_lock(&kprobe_mutex);
	error = disable_locked(p) ? 0 : -EINVAL;
	mutex_unlock(&kprobe_mutex);
	trace_event(EVENT_DISABLE, (u64)p, error);
	return error;
}

static int enable_locked(struct kprobe *p)
{
	struct kprobe *ap = get_valid_kprobe(p);
	int error = 0;
	bool armed;

	if (!ap || kprobe_gone(p))
		return -EINVAL;
	armed = !kprobe_disabled(ap);
	kprobe_clear_flag(p, KPROBE_FLAG_DISABLED);
	if (armed)
		return 0;
	kprobe_clear_flag(ap, KPROBE_FLAG_DISABLED);
	if (!kprobes_all_disarmed)
		error = arm_kprobe(ap);
	if (error) {
		kprobe_set_flag(p, KPROBE_FLAG_DISABLED);
		kprobe_set_flag(ap, KPROBE_FLAG_DISABLED);
	}
	return error;
}

int enable_kprobe(struct kprobe *p)
{
	int error;

	mutex_lock(&kprobe_mutex);
	error = enable_locked(p);
	mutex_unlock(&kprobe_mutex);
	trace_event(EVENT_ENABLE, (u64)p, error);
	return error;
}

/* No new hit finds @p after this; those under way may. */
static bool unregister_top(struct kprobe *p)
{
	struct kprobe *ap = disable_locked(p);

	if (!ap)
		return false;
	trace_event(EVENT_UNREGISTER, (u64)p, p->addr);
	/* Disarmed, and every CPU knows: now it may leave the table. */
	if (ap == p || list_is_singular(&ap->list))
		unhash(ap);
	else
		aggr_remove_kprobe(ap, p);
	return true;
}

/* Nobody uses @p any more. */
static void unregister_bottom(struct kprobe *p)
{
	struct kprobe *ap;

	if (list_empty(&p->list)) {
		arch_remove_kprobe(p);
	} else if (list_is_singular(&p->list)) {
		/* It was the last one: its only neighbour is the aggregator's head. */
		ap = list_entry(p->list.next, struct kprobe, list);
		list_del(&p->list);
		free_aggr_kprobe(ap);
	}
	/* Otherwise list_del_rcu() has left half of a link, and the aggregator lives on. */
}

void unregister_kprobes(struct kprobe **kps, int num)
{
	if (num <= 0)
		return;
	mutex_lock(&kprobe_mutex);
	for (int n = 0; n < num; n++) {
		if (!unregister_top(kps[n]))
			kps[n]->addr = 0;
	}
	mutex_unlock(&kprobe_mutex);
	synchronize_rcu();
	for (int n = 0; n < num; n++) {
		if (kps[n]->addr)
			unregister_bottom(kps[n]);
	}
}

void unregister_kprobe(struct kprobe *p)
{
	unregister_kprobes(&p, 1);
}
