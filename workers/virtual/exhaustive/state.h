/* SPDX-License-Identifier: MIT */
/* A hash of all that what happens from now on can depend on. */
#ifndef VIRTUAL_STATE_H
#define VIRTUAL_STATE_H

#include "engine.h"

/* Before each run. */
void state_begin(void);
/* While every CPU stands still. */
u64 state_hash(void);

#endif
