/* SPDX-License-Identifier: MIT */
/* Probe handlers that a harness chooses by name; kprobe->data is their struct probe_record. */
#ifndef KERNEL_PROBE_HANDLERS_H
#define KERNEL_PROBE_HANDLERS_H

#include <kernel/kprobes.h>

/*
 * All of them count, check that their kprobe is alive, and report if the record says that
 * unregister_kprobe() has returned.
 *
 * count                 nothing else
 * delay                 spins for record->delay_cycles
 * reenter               calls record->function, which may be probed
 * skip                  makes the probed function return record->skip_value: at its entry only
 * post_count            has a post handler too, which counts
 * unregister_elsewhere  sets record->unregister_wanted, which the owner polls
 */
struct probe_handler {
	const char *name;
	kprobe_pre_handler_t pre_handler;
	kprobe_post_handler_t post_handler;
};

const struct probe_handler *probe_handler_named(const char *name); /* NULL = no such */

/* Fill in a zeroed kprobe: handlers and data. -ENOENT = no such handler. */
int probe_prepare(struct kprobe *p, const char *handler, struct probe_record *record);

/* Same as register_kprobe() and unregister_kprobe(), with the record stamped around them. */
int probe_register(struct kprobe *p);
void probe_unregister(struct kprobe *p);

/* The stamps alone, for batches: before and after the call. */
void probe_record_registered(struct probe_record *record);
void probe_record_unregistering(struct probe_record *record);
void probe_record_unregistered(struct probe_record *record);

u64 probe_record_hits(const struct probe_record *record);

#endif
