// SPDX-License-Identifier: MIT
/* Do flags, lists, the hash table and text tell the same story? */
#include <finding.h>
#include <kernel/kprobe_internal.h>
#include <kernel/text_poke.h>
#include <x86/insn.h>

/* Values: probe, found, expected, text address, line. */
static void expect_at(const struct kprobe *p, u64 found, u64 expected, u32 line)
{
	if (unlikely(found != expected))
		report_finding(FINDING_BAD_STATE, text_last_writer(p->addr), (u64)p, found,
			       expected, p->addr, line);
}

#define expect(p, found, expected) expect_at(p, found, expected, __LINE__)

static bool is_armed(const struct kprobe *p)
{
	return !kprobe_disabled(p) && !kprobes_all_disarmed;
}

/* The children of @ap; returns how many there are. */
static s64 audit_children(const struct kprobe *ap)
{
	const struct kprobe *kp;
	s64 children = 0;

	list_for_each_entry(kp, &ap->list, list) {
		expect(kp, kp->addr, ap->addr);
		expect(kp, kprobe_aggrprobe(kp), false);
		expect(kp, (u64)kp->list.prev->next, (u64)&kp->list);
		if (kprobe_gone(ap))
			expect(kp, kprobe_gone(kp), true);
		else if (!kprobe_gone(kp))
			expect(kp, kp->opcode, ap->opcode);
		children++;
	}
	/* An aggregator without children is unhashed at once. */
	expect(ap, children > 0, true);
	if (!kprobe_gone(ap)) {
		expect(ap, kprobe_disabled(ap), aggr_all_disabled(ap));
		expect(ap, ap->post_handler != NULL, aggr_has_post_handler(ap));
	}
	return children;
}

static void audit_text(const struct kprobe *p)
{
	u64 slot = p->ainsn.slot;

	/* A gone probe owns no slot, and its text is not looked at. */
	if (kprobe_gone(p)) {
		expect(p, slot, 0);
		return;
	}
	expect(p, *text_alias(p->addr), is_armed(p) ? INT3_INSN_OPCODE : p->opcode);
	expect(p, p->opcode, *text_pristine(p->addr));
	if (slot) {
		expect(p, is_slot_area(slot), true);
		expect(p, *text_alias(slot), p->opcode);
	}
}

static s64 audit_probe(const struct kprobe *p, const struct hlist_head *bucket)
{
	expect(p, (u64)kprobe_bucket(p->addr), (u64)bucket);
	/* The first one with this address is the only one. */
	expect(p, (u64)get_kprobe(p->addr), (u64)p);
	expect(p, *p->hlist.pprev == &p->hlist, true);
	audit_text(p);
	if (kprobe_aggrprobe(p))
		return audit_children(p);
	expect(p, list_empty(&p->list), true);
	return 1;
}

bool kprobes_excuse(u64 addr)
{
	const struct kprobe *p = get_kprobe(addr);

	if (p && (is_armed(p) || kprobe_gone(p)))
		return true;
	for (u64 start = addr; addr - start < MAX_INSN_LENGTH && is_text(start); start--) {
		const struct text_insn *insn = text_insn_at(start);

		if (insn->length > addr - start)
			return insn->flags & INSN_PATCHABLE;
	}
	return false;
}

s64 kprobes_audit_bucket(const struct hlist_head *bucket)
{
	const struct kprobe *p;
	s64 probes = 0;

	hlist_for_each_entry_rcu(p, bucket, hlist)
		probes += audit_probe(p, bucket);
	return probes;
}

static s64 kprobes_audit_tables(void)
{
	s64 probes = 0;

	for (u32 n = 0; n < KPROBE_TABLE_SIZE; n++)
		probes += kprobes_audit_bucket(&kprobe_table[n]);
	return probes;
}

s64 kprobes_audit(void)
{
	s64 probes;

	mutex_lock(&kprobe_mutex);
	mutex_lock(&text_mutex);
	probes = kprobes_audit_tables();
	text_compare(FINDING_TEXT_CORRUPT, kprobes_excuse);
	mutex_unlock(&text_mutex);
	mutex_unlock(&kprobe_mutex);
	return probes;
}
