// SPDX-License-Identifier: MIT
/*
 * The working tasks of real_library: compress, decompress and checksum with the
 * library's own code, whatever probes it has in it, and compare every output with
 * the unprobed one.
 */
#include "real_library.h"

#include <error.h>
#include <finding.h>
#include <kernel/kthread.h>
#include <memory.h>

#define FINISH 4              /* Z_FINISH */
#define STREAM_END 1          /* Z_STREAM_END */
#define USES_PER_STREAM 16

/* The library's z_stream, from its public interface. */
struct stream {
	u64 next_in;
	u32 avail_in, pad1;
	u64 total_in;
	u64 next_out;
	u32 avail_out, pad2;
	u64 total_out;
	u64 message, state, alloc, free, opaque;
	s32 data_type, pad3;
	u64 adler, reserved;
};

static_assert(sizeof(struct stream) == 112, "as zlib.h has it");

static const s32 levels[LIBRARY_LEVELS] = { 1, 6, 9 };

typedef s32 (*stream_call)(struct stream *stream, s64 argument);
typedef s32 (*deflate_init_call)(struct stream *stream, s32 level, const char *version, s32 size);
typedef s32 (*inflate_init_call)(struct stream *stream, const char *version, s32 size);
typedef u64 (*sum_call)(u64 sum, u64 data, u32 size);
typedef const char *(*version_call)(void);

/* Not one of the library's: it must not fail in the same way. */
static u64 own_sum(const u8 *bytes, u64 size)
{
	u64 sum = 0xcbf29ce484222325UL;

	for (u64 n = 0; n < size; n++)
		sum = (sum ^ bytes[n]) * 0x100000001b3UL;
	return sum;
}

static void wrong(u64 function, u64 argument, u64 expected, u64 returned)
{
	report_finding(FINDING_WRONG_RESULT, NULL, function, argument, expected, returned);
}

static void begin(struct stream *stream, u64 from, u64 size, u64 to, u64 room)
{
	stream->next_in = from;
	stream->avail_in = size;
	stream->next_out = to;
	stream->avail_out = room;
}

static void open_streams(const struct library_calls *calls, struct stream deflating[],
			 struct stream *inflating)
{
	const char *version = ((version_call)calls->version)();
	s32 result;

	for (u32 n = 0; n < LIBRARY_LEVELS; n++) {
		fill_bytes(&deflating[n], 0, sizeof(deflating[n]));
		result = ((deflate_init_call)calls->deflate_init)(&deflating[n], levels[n], version,
								  sizeof(deflating[n]));
		if (result)
			wrong(calls->deflate_init, levels[n], 0, result);
	}
	fill_bytes(inflating, 0, sizeof(*inflating));
	result = ((inflate_init_call)calls->inflate_init)(inflating, version, sizeof(*inflating));
	if (result)
		wrong(calls->inflate_init, 0, 0, result);
}

static void close_streams(const struct library_calls *calls, struct stream deflating[],
			  struct stream *inflating)
{
	for (u32 n = 0; n < LIBRARY_LEVELS; n++)
		((stream_call)calls->deflate_end)(&deflating[n], 0);
	((stream_call)calls->inflate_end)(inflating, 0);
}

static void check_sums(const struct library_calls *calls, const struct library_file *file)
{
	u64 crc = ((sum_call)calls->crc32)(0, file->data, file->size);
	u64 adler = ((sum_call)calls->adler32)(1, file->data, file->size);

	if (crc != file->crc)
		wrong(calls->crc32, file->data, file->crc, crc);
	if (adler != file->adler)
		wrong(calls->adler32, file->data, file->adler, adler);
}

/* Compress; returns the size. The first time it makes the reference. */
static u64 pack(struct library_worker *worker, struct library_file *file, u32 level,
		struct stream *stream)
{
	const struct library_calls *calls = &worker->library->calls;
	u64 size, sum;
	s32 result;

	begin(stream, file->data, file->size, worker->packed, worker->room);
	result = ((stream_call)calls->deflate)(stream, FINISH);
	if (result != STREAM_END)
		wrong(calls->deflate, file->data, STREAM_END, result);
	size = worker->room - stream->avail_out;
	sum = own_sum((u8 *)worker->packed, size);
	if (!file->packed_size[level]) {
		file->packed_sum[level] = sum;
		file->packed_size[level] = size;
	}
	if (size != file->packed_size[level])
		wrong(calls->deflate, file->data, file->packed_size[level], size);
	if (sum != file->packed_sum[level])
		wrong(calls->deflate, file->data, file->packed_sum[level], sum);
	((stream_call)calls->deflate_reset)(stream, 0);
	return size;
}

static void unpack(struct library_worker *worker, const struct library_file *file, u64 size,
		   struct stream *stream)
{
	const struct library_calls *calls = &worker->library->calls;
	s32 result;
	u64 got;

	begin(stream, worker->packed, size, worker->unpacked, worker->room);
	result = ((stream_call)calls->inflate)(stream, FINISH);
	if (result != STREAM_END)
		wrong(calls->inflate, file->data, STREAM_END, result);
	got = worker->room - stream->avail_out;
	if (got != file->size)
		wrong(calls->inflate, file->data, file->size, got);
	if (compare_bytes((void *)worker->unpacked, (void *)file->data, file->size))
		wrong(calls->inflate, file->data, own_sum((u8 *)file->data, file->size),
		      own_sum((u8 *)worker->unpacked, file->size));
	((stream_call)calls->inflate_reset)(stream, 0);
}

static void one_file(struct library_worker *worker, struct library_file *file, u32 level,
		     struct stream deflating[], struct stream *inflating)
{
	u64 size;

	check_sums(&worker->library->calls, file);
	size = pack(worker, file, level, &deflating[level]);
	unpack(worker, file, size, inflating);
	worker->files++;
	worker->bytes += file->size;
	current->progress++;
}

/* Before any probe: what every output must be from then on. On the serving task of CPU 0. */
s64 library_reference(struct library_worker *worker)
{
	struct library *library = worker->library;
	struct stream deflating[LIBRARY_LEVELS], inflating;

	open_streams(&library->calls, deflating, &inflating);
	for (u32 n = 0; n < library->nr_files; n++) {
		for (u32 level = 0; level < LIBRARY_LEVELS; level++)
			one_file(worker, &library->files[n], level, deflating, &inflating);
	}
	close_streams(&library->calls, deflating, &inflating);
	return worker->files;
}

static u32 below(u64 *state, u32 limit)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return (*state >> 33) * limit >> 31;
}

s64 library_worker(void *argument)
{
	struct library_worker *worker = argument;
	struct library *library = worker->library;
	struct stream deflating[LIBRARY_LEVELS], inflating;

	while (!READ_ONCE(the_machine->stop)) {
		open_streams(&library->calls, deflating, &inflating);
		for (u32 n = 0; n < USES_PER_STREAM && !READ_ONCE(the_machine->stop); n++) {
			u32 file = below(&worker->random, library->nr_files);
			u32 level = below(&worker->random, LIBRARY_LEVELS);

			one_file(worker, &library->files[file], level, deflating, &inflating);
			cond_resched();
		}
		close_streams(&library->calls, deflating, &inflating);
		worker->reopened++;
	}
	return 0;
}
