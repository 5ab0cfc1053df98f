// SPDX-License-Identifier: MIT
/* Several kprobes at one address. */
#include <error.h>
#include <kernel/kprobe_internal.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>
#include <kernel/text_poke.h>
#include <x86/singlestep.h>

bool kprobe_aggrprobe(const struct kprobe *p)
{
	return p->pre_handler == aggr_pre_handler;
}

bool aggr_all_disabled(const struct kprobe *ap)
{
	const struct kprobe *kp;

	list_for_each_entry(kp, &ap->list, list) {
		if (!kprobe_disabled(kp))
			return false;
	}
	return true;
}

bool aggr_has_post_handler(const struct kprobe *ap)
{
	const struct kprobe *kp;

	list_for_each_entry(kp, &ap->list, list) {
		if (kp->post_handler && !kprobe_gone(kp))
			return true;
	}
	return false;
}

void free_aggr_kprobe(struct kprobe *ap)
{
	arch_remove_kprobe(ap);
	kfree(ap);
}

/* An aggregator takes the place of plain kprobe @old, and its slot. */
static struct kprobe *aggregate(struct kprobe *old)
{
	struct kprobe *ap = kzalloc(sizeof(*ap), GFP_KERNEL);

	if (!ap)
		return NULL;
	ap->addr = old->addr;
	ap->flags = old->flags;
	ap->opcode = old->opcode;
	ap->ainsn = old->ainsn;
	ap->pre_handler = aggr_pre_handler;
	if (old->post_handler && !kprobe_gone(old))
		ap->post_handler = aggr_post_handler;
	INIT_LIST_HEAD(&ap->list);
	/* On the list before it is in the table: a hit finds either one complete. */
	list_add_rcu(&old->list, &ap->list);
	hlist_replace_rcu(&old->hlist, &ap->hlist);
	return ap;
}

/* The module came back: what was prepared for its old text is not valid any more. */
static int revive(struct kprobe *ap)
{
	int error;

	mutex_lock(&text_mutex);
	error = arch_prepare_kprobe(ap);
	mutex_unlock(&text_mutex);
	if (!error)
		ap->flags = (ap->flags & ~KPROBE_FLAG_GONE) | KPROBE_FLAG_DISABLED;
	return error;
}

void aggr_remove_kprobe(struct kprobe *ap, struct kprobe *p)
{
	list_del_rcu(&p->list);
	if (ap->post_handler && !aggr_has_post_handler(ap))
		WRITE_ONCE(ap->post_handler, NULL);
}

int register_aggr_kprobe(struct kprobe *old, struct kprobe *p)
{
	struct kprobe *ap = kprobe_aggrprobe(old) ? old : aggregate(old);
	int error = ap ? 0 : -ENOMEM;

	if (!error && kprobe_gone(ap))
		error = revive(ap);
	if (error)
		return error;
	p->opcode = ap->opcode;
	p->ainsn = ap->ainsn;
	list_add_rcu(&p->list, &ap->list);
	if (p->post_handler)
		WRITE_ONCE(ap->post_handler, aggr_post_handler);
	if (!kprobe_disabled(ap) || kprobe_disabled(p))
		return 0;
	kprobe_clear_flag(ap, KPROBE_FLAG_DISABLED);
	if (kprobes_all_disarmed)
		return 0;
	error = arm_kprobe(ap);
	if (error) {
		kprobe_set_flag(ap, KPROBE_FLAG_DISABLED);
		aggr_remove_kprobe(ap, p);
		synchronize_rcu();
	}
	return error;
}
