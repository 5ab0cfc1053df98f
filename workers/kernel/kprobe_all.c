// SPDX-License-Identifier: MIT
/* What is done to all probes, or to all of a module. */
#include <finding.h>
#include <kernel/kprobe_internal.h>
#include <kernel/text.h>
#include <x86/singlestep.h>

/* It could not be armed: then it is disabled, so that flags and text agree. */
static void give_up(struct kprobe *p)
{
	struct kprobe *kp;

	kprobe_set_flag(p, KPROBE_FLAG_DISABLED);
	if (!kprobe_aggrprobe(p))
		return;
	list_for_each_entry(kp, &p->list, list)
		kprobe_set_flag(kp, KPROBE_FLAG_DISABLED);
}

static struct kprobe *first_in(struct hlist_head *bucket)
{
	return hlist_entry_safe(bucket->first, struct kprobe, hlist);
}

static struct kprobe *next_of(struct kprobe *p)
{
	return hlist_entry_safe(p->hlist.next, struct kprobe, hlist);
}

int arm_all_kprobes(void)
{
	int result = 0, error;

	mutex_lock(&kprobe_mutex);
	if (kprobes_all_disarmed) {
		kprobes_all_disarmed = false;
		for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++) {
			for (struct kprobe *p = first_in(&kprobe_table[n]); p; p = next_of(p)) {
				error = kprobe_disabled(p) ? 0 : arm_kprobe(p);
				if (error) {
					give_up(p);
					result = error;
				}
			}
		}
	}
	mutex_unlock(&kprobe_mutex);
	return result;
}

void disarm_all_kprobes(void)
{
	mutex_lock(&kprobe_mutex);
	if (!kprobes_all_disarmed) {
		kprobes_all_disarmed = true;
		for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++) {
			for (struct kprobe *p = first_in(&kprobe_table[n]); p; p = next_of(p)) {
				if (!kprobe_disabled(p))
					disarm_kprobe(p);
			}
		}
	}
	mutex_unlock(&kprobe_mutex);
}

/* The text under @p is about to go: it is not touched, not even to disarm. */
static void kill_kprobe(struct kprobe *p)
{
	struct kprobe *kp;

	/* Gone already: its slot may be somebody else's by now. */
	if (unlikely(kprobe_gone(p)))
		report_finding(FINDING_BAD_STATE, NULL, (u64)p, p->flags, 0, p->addr);
	kprobe_set_flag(p, KPROBE_FLAG_GONE);
	if (kprobe_aggrprobe(p)) {
		list_for_each_entry(kp, &p->list, list)
			kprobe_set_flag(kp, KPROBE_FLAG_GONE);
		p->post_handler = NULL;
	}
	arch_remove_kprobe(p);
}

void kprobes_module_going(int index)
{
	const struct text_module *module = &the_machine->text.module[index];

	mutex_lock(&kprobe_mutex);
	for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++) {
		for (struct kprobe *p = first_in(&kprobe_table[n]); p; p = next_of(p)) {
			if (p->addr - module->start < module->size && !kprobe_gone(p))
				kill_kprobe(p);
		}
	}
	mutex_unlock(&kprobe_mutex);
}
