/* SPDX-License-Identifier: MIT */
/* A hash of all that what happens from now on can depend on. */
#ifndef VIRTUAL_STATE_H
#define VIRTUAL_STATE_H

#include "engine.h"

/* Before each run; @first: of a search. */
void state_begin(bool first);
/*
 * Every CPU stands still: what lies below the stack that was used last is dead, and is
 * cleared, or it would come up again in frames that have not written all of theirs.
 */
void state_settle(void);
/* While every CPU stands still. */
u64 state_hash(void);

#endif
