// SPDX-License-Identifier: MIT
/* Data, then a flag: who sees the flag sees the data. */
#include "program.h"

static atomic_int data, flag;

static void *sender(void *number)
{
	set(data, 1);
	set(flag, 1);
	return NULL;
}

static void *receiver(void *number)
{
	if (get(flag)) {
		int seen = get(data);

		claim(seen == 1);
	}
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ sender, receiver });
	return 0;
}
