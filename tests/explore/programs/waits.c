// SPDX-License-Identifier: MIT
/*
 * A task waits until bits of a word are clear, while another one sets and clears them, or
 * while two take what they count for from a count.
 * -D COUNT: it is a count.
 * -D LOOK: a fourth CPU looks at it meanwhile, and that is the outcome.
 */
#include <explore.h>
#include <outcome.h>

static u32 word, turns, seen, written[2];

#ifdef COUNT
INIT
{
	word = 2;
}

static void answer(u32 who)
{
	WRITE_ONCE(written[who], 1);
	machine_count_down(&word);
}

TASK(0, waiter)
{
	machine_wait_clear(&word, ~0u);
	claim(READ_ONCE(written[0]) && READ_ONCE(written[1]), written[0], written[1]);
}

TASK(1, first)
{
	answer(0);
}

TASK(2, second)
{
	answer(1);
}

#ifdef LOOK
TASK(3, looker)
{
	seen = READ_ONCE(word);
}
#endif
#else
TASK(0, waiter)
{
	machine_wait_clear(&word, 1);
	seen = READ_ONCE(turns);
}

TASK(1, setter)
{
	for (u32 turn = 1; turn <= 3; turn++) {
		WRITE_ONCE(word, 1);
		WRITE_ONCE(turns, turn);
		WRITE_ONCE(word, 2);
	}
}
#endif

FINAL_CHECK { explore_outcome(seen); }
