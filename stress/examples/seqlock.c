// SPDX-License-Identifier: MIT
/*
 * A seqlock: a reader that no writer disturbed has seen both words of one version.
 *
 *	testbed explore stress/examples/seqlock.c
 *	testbed explore stress/examples/seqlock.c -D MISSING_RECHECK
 *	testbed explore stress/examples/seqlock.c -D MISSING_ODD
 *	testbed explore stress/examples/seqlock.c -D PLAIN_DATA
 *
 * The writer makes the sequence number odd, writes, and makes it even again; a
 * reader that finds the same even number before and after has a version that
 * is whole. The names of the functions and of their barriers are those of
 * include/linux/seqlock.h (v6.12).
 *
 * The reader reads while the writer writes, and throws away what it has read. So
 * the words are read and written by marked accesses: READ_ONCE() and WRITE_ONCE()
 * say that the race is meant. With PLAIN_DATA no run on x86 goes wrong, and it is
 * reported all the same: the compiler may read a plain word twice, or in two
 * halves, and would be right.
 */
#include <explore.h>

#define VERSIONS 2

static u32 sequence;          /* odd = the writer is at work; it alone writes */
static u64 low, high;         /* both are the number of the version */

#ifdef PLAIN_DATA
#define READ_WORD(word) (word)
#define WRITE_WORD(word, value) ((word) = (value))
#else
#define READ_WORD(word) READ_ONCE(word)
#define WRITE_WORD(word, value) WRITE_ONCE(word, value)
#endif

static void write_seqcount_begin(void)
{
#ifndef MISSING_ODD
	WRITE_ONCE(sequence, sequence + 1);
#endif
	smp_wmb(); /* odd before the words; pairs with the reader's second smp_rmb() */
}

static void write_seqcount_end(void)
{
	smp_wmb(); /* the words before even; pairs with the reader's first smp_rmb() */
#ifndef MISSING_ODD
	WRITE_ONCE(sequence, sequence + 1);
#else
	WRITE_ONCE(sequence, sequence + 2);
#endif
}

static u32 read_seqcount_begin(void)
{
	u32 seen = READ_ONCE(sequence);

	smp_rmb(); /* the number before the words */
	return seen;
}

static bool read_seqcount_retry(u32 seen)
{
	smp_rmb(); /* the words before the number */
#ifdef MISSING_RECHECK
	return seen & 1;
#else
	return seen & 1 || READ_ONCE(sequence) != seen;
#endif
}

TASK(0, writer)
{
	for (u64 version = 1; version <= VERSIONS; version++) {
		write_seqcount_begin();
		WRITE_WORD(low, version);
		WRITE_WORD(high, version);
		write_seqcount_end();
	}
}

TASK(1, reader)
{
	u32 seen = read_seqcount_begin();
	u64 first = READ_WORD(low), second = READ_WORD(high);

	/* It would try again; one try is enough to be wrong. */
	if (!read_seqcount_retry(seen))
		claim(first == second, first, second);
}
