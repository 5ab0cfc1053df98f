/* SPDX-License-Identifier: MIT */
/*
 * Text as CPUs fetch it: each keeps for a while what it had fetched before it was
 * written anew, byte by byte, until it synchronizes.
 *
 * versions.c knows what has been written and who may still see what was there;
 * known.c which bytes are an instruction; native.c has one run by the processor;
 * kernel_text.c puts them together.
 */
#ifndef VIRTUAL_TEXT_H
#define VIRTUAL_TEXT_H

#include "engine.h"

#include <kernel/text.h>
#include <x86/poke_insn.h>

#define FETCH_BYTES 16        /* looked at for one instruction */
#define MAX_TEXT_WRITES 512   /* of one run that some CPU may not have seen */
#define MAX_KNOWN_INSNS 512   /* of one run */
#define MAX_TEXT_NOTES 256

/* A write to text that has reached memory. Bytes from the start of text. */
struct text_write {
	u32 at;
	u32 size;             /* bytes, 1..8 */
	u64 old, value;
};

enum known_kind { KNOWN_POKED, KNOWN_COPIED };

/* An instruction that a CPU may meet, besides what was loaded. */
struct known_insn {
	u32 at;
	u32 owners;           /* notes of owners that are older */
	u8 length;            /* bytes */
	u8 kind;              /* enum known_kind */
	u8 bytes[FETCH_BYTES - 1];
	u8 pad[3];
	struct text_insn insn;/* a copy: what the map says of its origin */
	struct poke_insn poke;/* poked: what it does */
};

/* Memory of text that was given to somebody, or back; the newest that covers a byte counts. */
struct text_owner {
	u32 at, size;
	u32 freed;
	u32 pad;
	struct side side;
};

struct text_writer_note {
	u32 at, size;
	struct side side;
};

/* All that changes in a run. Arrays are used up to their counts. */
struct text_state {
	u32 nr_writes;
	u32 nr_known;
	u32 nr_owners;
	u32 nr_notes;
	struct text_write write[MAX_TEXT_WRITES];
	struct known_insn known[MAX_KNOWN_INSNS];
	struct text_owner owner[MAX_TEXT_NOTES];
	struct text_writer_note note[MAX_TEXT_NOTES];
};

extern struct text_state text_state;

/* What one fetch may find: as many bytes as the instruction has, and which one it is. */
struct fetched {
	u8 bytes[FETCH_BYTES];
	const struct known_insn *known; /* NULL: loaded, or nothing */
	bool loaded;          /* what was loaded there */
	bool trap;            /* a breakpoint */
};

#define MAX_FETCHED 32

/* Vector and x87 registers, as fxsave has them. */
struct text_vectors {
	u8 bytes[512];
} __attribute__((aligned(16)));

static inline u64 text_offset(u64 addr)
{
	return addr - TEXT_BASE;
}

/* versions.c: the text is mapped; 0 or -errno. */
int versions_init(void);
/* What is in memory now is where runs begin. */
void versions_keep(void);
void versions_begin(void);
/*
 * Is text at @addr, @size bytes, written or given back at some time? Then a fetch there is
 * an operation. mark: it is, from here on; unmark: as in other runs. Bytes from the start.
 */
void versions_mark(u32 at, u32 size);
void versions_unmark(u32 at, u32 size);
bool text_is_patched(u64 addr, u32 size);
bool text_is_patched_somewhere(void);
/* From now on other bytes are a surprise, after which not everything was searched. */
void text_is_learned(void);
/* @cpu fetches anew whatever has been written until now. */
void versions_sync(struct vcpu *cpu);
/* What @cpu may fetch at @addr, FETCH_BYTES each, the newest first; returns how many. */
u32 versions_at(const struct vcpu *cpu, u64 addr, u8 bytes[][FETCH_BYTES], u32 room);
/* @size bytes as they are in memory. */
void text_now(u64 addr, u8 *bytes, u32 size);
/* Into @finding: text around regs.ip, what was met at ip itself being @fetched, if not NULL. */
void text_bytes(struct finding *finding, const u8 *fetched);

/* known.c: which instruction are these bytes at @addr? False = none that ever was there. */
bool known_insn(u64 addr, struct fetched *fetched);
/* Bytes that matter of a fetch at @addr. */
u32 known_length(u64 addr);
/* Who freed the text at @addr; NULL = it is somebody's. */
const struct text_owner *text_freed_at(u64 addr);
void known_keep(void);
void known_begin(void);

/* native.c: room for code; 0 or -errno. */
int native_init(void);
/* Code that does @length @bytes as if they stood at @addr. */
u64 native_code(const u8 *bytes, u32 length, u64 addr, const struct text_insn *insn);
/*
 * Run it on these registers; all but ip change as the instruction says. @vectors
 * if it uses vector or x87 registers, else NULL.
 */
void native_run(struct pt_regs *regs, u64 code, struct text_vectors *vectors);
/* As a function finds them. */
void native_vectors(struct text_vectors *vectors);
/* A signal came at @ip: was an instruction of text running? */
bool native_interrupted(u64 ip, struct text_crash *crash);

/* outside.c: may text enter this C function? Do it: regs->ip is its start. */
bool text_calls(u64 function);
void text_call_out(struct pt_regs *regs);
/* The word that an instruction at @pc reads: another may write it, if it is text. */
u64 text_read_word(u64 addr, u64 pc);
/* Do the instruction at regs->ip, if it is a load relative to itself. */
bool text_load_relative(struct pt_regs *regs, const u8 *bytes, const struct text_insn *insn);

/* kernel_text.c */
/* The register of that number, in the order of the encoding; 0 to 15. */
u64 *text_register(struct pt_regs *regs, u32 number);
int kernel_text_init(void);
/* The CPU fetches anew from here on. */
void text_sync(struct vcpu *cpu, u64 pc);

#endif
