/* SPDX-License-Identifier: MIT */
/* Error numbers that the mechanisms return, negated. */
#ifndef WORKERS_ERROR_H
#define WORKERS_ERROR_H

#define ENOENT 2
#define ENXIO 6
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define ENOSYS 38
#define EILSEQ 84
#define EOPNOTSUPP 95
#define ETIMEDOUT 110

#endif
