// SPDX-License-Identifier: MIT
/* Where this folder's code starts: the builder links this file first of the folder. */
#include "detectors/report.h"

void machine_text_first(void)
{
	__asm__ volatile("");
}
