// SPDX-License-Identifier: MIT
/*
 * Two tasks of one CPU. The second one runs when the first has ended, unless a
 * tick takes the CPU from the first one before.
 * -D INCREMENT: both add 1 to a word, with a load and a store. Otherwise the
 * first one stores 1, 2 and 3, and the second says what it sees.
 * -D REMOTE: a task of another CPU stores 10 to the word.
 * -D PREEMPTION_OFF, -D INTERRUPTS_OFF: what each of the two does is in one piece.
 */
#include <explore.h>
#include <outcome.h>

static u32 word;

#ifdef INTERRUPTS_OFF
#define IN_ONE_PIECE(body) do { \
	u32 flags = local_irq_save(); \
	body; \
	local_irq_restore(flags); \
} while (0)
#elif defined(PREEMPTION_OFF)
#define IN_ONE_PIECE(body) do { preempt_disable(); body; preempt_enable(); } while (0)
#else
#define IN_ONE_PIECE(body) do { body; } while (0)
#endif

#ifdef INCREMENT
static void add_one(void)
{
	u32 seen = READ_ONCE(word);

	WRITE_ONCE(word, seen + 1);
}

TASK(0, first)
{
	IN_ONE_PIECE(add_one());
}

TASK(0, second)
{
	IN_ONE_PIECE(add_one());
}

FINAL_CHECK
{
	explore_outcome(word);
}
#else
static u32 seen;

static void store_all(void)
{
	WRITE_ONCE(word, 1);
	WRITE_ONCE(word, 2);
	WRITE_ONCE(word, 3);
}

TASK(0, first)
{
	IN_ONE_PIECE(store_all());
}

TASK(0, second)
{
	IN_ONE_PIECE(WRITE_ONCE(seen, READ_ONCE(word)));
}

FINAL_CHECK
{
	explore_outcome(seen);
}
#endif

#ifdef REMOTE
TASK(1, remote)
{
	WRITE_ONCE(word, 10);
}
#endif
