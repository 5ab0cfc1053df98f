// SPDX-License-Identifier: MIT
/* Who reads the address of a variable may see what the variable was when it was stored. */
#include "program.h"

static _Atomic(atomic_int *) place;
static atomic_int done;

static void *owner(void *unused)
{
	atomic_int variable;

	set(variable, 1);
	set(place, &variable);
	set(variable, 2);
	while (!get(done))
		;
	return NULL;
}

static void *reader(void *unused)
{
	atomic_int *variable = get(place);

	if (variable)
		claim(get(*variable) == 2);
	set(done, 1);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ owner, reader });
	return 0;
}
