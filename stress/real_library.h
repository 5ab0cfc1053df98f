/* SPDX-License-Identifier: MIT */
/* The tables of real_library: Python fills them before the tasks start. */
#ifndef STRESS_REAL_LIBRARY_H
#define STRESS_REAL_LIBRARY_H

#include <kernel/kprobes.h>
#include <kernel/probe_handlers.h>

#define LIBRARY_LEVELS 3
#define LIBRARY_BATCH 32

/* The interface of zlib that the tasks use: text addresses. */
struct library_calls {
	u64 deflate_init, deflate, deflate_reset, deflate_end;
	u64 inflate_init, inflate, inflate_reset, inflate_end;
	u64 crc32, adler32, version;
};

struct library_file {
	u64 data;             /* address of its bytes */
	u64 size;             /* bytes */
	u64 crc, adler;       /* as Python computed them */
	u64 packed_size[LIBRARY_LEVELS]; /* as the library compressed it unprobed; 0 = not yet */
	u64 packed_sum[LIBRARY_LEVELS];  /* our own checksum of that */
};

/* An instruction boundary of the library. */
struct library_site {
	u64 addr;             /* text address */
	u64 turns;            /* times that a probe was armed there; atomic */
	s64 refused;          /* what register_kprobe() said, if it never takes one */
};

struct library {
	struct library_calls calls;
	u32 nr_files;
	u32 nr_sites;
	u32 batch;            /* probes of one arming task at a time */
	u32 hold_us;          /* how long they stay */
	u64 turn;             /* the next site; atomic, grows for ever */
	u64 delay_cycles;     /* how long the delaying handler spins */
	struct library_file *files;
	struct library_site *sites;
};

/* What one working task is given, and counts. */
struct library_worker {
	struct library *library;
	u64 random;           /* state of its generator, not 0 */
	u64 packed;           /* buffer of room bytes for compressed data */
	u64 unpacked;         /* buffer of room bytes */
	u64 room;
	u64 files;            /* compressed, decompressed and compared */
	u64 bytes;            /* of their original size */
	u64 reopened;         /* streams ended and begun anew */
} __cacheline_aligned;

struct library_armer {
	struct library *library;
	u64 random;
	u64 registers;
	u64 unregisters;
	u64 refused;
	u64 hits;
	struct probe_record record[LIBRARY_BATCH];
} __cacheline_aligned;

#endif
