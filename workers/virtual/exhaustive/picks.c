// SPDX-License-Identifier: MIT
#include "exhaustive/picks.h"

#define MAX_ON_WAY 65536

static struct {
	u32 nodes;            /* of the strategy, before it */
	u8 option;            /* taken now */
	u8 options;           /* 0 = given, and others do what else there is */
} way[MAX_ON_WAY];
static u32 nr_on_way;         /* that the next run repeats */
static u32 nr_taken;          /* of this run */

void picks_reset(void)
{
	nr_on_way = nr_taken = 0;
}

void picks_fix(u32 nodes, u32 option)
{
	way[nr_on_way].nodes = nodes;
	way[nr_on_way].option = option;
	way[nr_on_way].options = 0;
	nr_on_way++;
}

void picks_begin(void)
{
	nr_taken = 0;
}

bool picks_is_new(void)
{
	return nr_taken == nr_on_way;
}

u32 picks_take(u32 nodes, u32 options)
{
	u32 place = nr_taken;

	if (place == MAX_ON_WAY)
		engine_end(RUN_BOUND);
	if (picks_is_new()) {
		way[place].nodes = nodes;
		way[place].option = 0;
		way[place].options = options;
		nr_on_way++;
	} else if (way[place].nodes != nodes || way[place].option >= options ||
		   (way[place].options && way[place].options != options)) {
		engine_end(RUN_DIVERGED);
	}
	nr_taken++;
	return way[place].option;
}

bool picks_next(u32 nodes)
{
	for (; nr_on_way; nr_on_way--) {
		u32 last = nr_on_way - 1;

		if (way[last].nodes < nodes || !way[last].options)
			return false;
		if (++way[last].option < way[last].options)
			return true;
	}
	return false;
}
