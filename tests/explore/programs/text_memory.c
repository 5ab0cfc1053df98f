// SPDX-License-Identifier: MIT
/*
 * Two tasks run text that stores to one word and loads from the other.
 * -D FENCED: with a full barrier in between.
 */
#include <explore.h>
#include <kernel/text.h>
#include <outcome.h>

static u64 x, y, seen[2], store_word, load_word;

static u64 store_and_load(u64 *to, const u64 *from)
{
	text_call(store_word, (u64)to, 1);
#ifdef FENCED
	smp_mb();
#endif
	return text_call(load_word, (u64)from, 0);
}

INIT
{
	store_word = text_function_named("store_word")->addr;
	load_word = text_function_named("load_word")->addr;
}

TASK(0, left) { seen[0] = store_and_load(&x, &y); }

TASK(1, right) { seen[1] = store_and_load(&y, &x); }

FINAL_CHECK { explore_outcome(seen[0] * 2 + seen[1]); }
