/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_INTERNAL_H
#define PROTO_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * A message is a struct and a table of its fields; encoder, decoder and release follow from
 * the table.  Strings travel as byte strings without NUL: argv, environment and paths may
 * hold any other byte.  Keys ascend on the wire, so none can come twice.
 */
enum field_kind {
	FIELD_BOOL,
	FIELD_U16,
	FIELD_U32, /* also enums */
	FIELD_U64,
	FIELD_I32,
	FIELD_INDEX, /* uint32_t; UINT32_MAX means none and is left out */
	FIELD_CHARS, /* char[size], NUL-terminated */
	FIELD_BLOB,  /* uint8_t[size]; left out if all zero */
	FIELD_STR,   /* char *, owned; may be NULL */
	FIELD_LIST,  /* struct str_list */
	FIELD_ARRAY, /* pointer to structs, owned, and a size_t count at @count */
};

struct message;

struct field {
	uint16_t key; /* 1..32767 */
	enum field_kind kind;
	size_t offset; /* in the struct */
	size_t size;   /* CHARS, BLOB: bytes */
	uint64_t max;  /* numbers: largest value, 0 for that of the type; LIST, ARRAY: items */
	size_t count;  /* ARRAY: offset of the count */
	const struct message *item; /* ARRAY */
};

struct message {
	const struct field *fields; /* ascending keys */
	size_t n_fields;
	size_t size; /* of the struct */
};

#define MESSAGE(type, table)                                                                       \
	{                                                                                          \
		.fields = (table), .n_fields = sizeof(table) / sizeof((table)[0]),                 \
		.size = sizeof(type)                                                               \
	}

/* struct exec_rlimit, of the boot message and of an exec. */
extern const struct message rlimit_message;

/* The empty value: zero, and UINT32_MAX for each FIELD_INDEX. */
void message_init(const struct message *m, void *x);
void message_done(const struct message *m, void *x);
/* Append the map; the buffer is unchanged on failure. */
MUST_CHECK int message_encode(struct buf *b, const struct message *m, const void *x);
/* Append a frame with the map. */
MUST_CHECK int message_frame(struct buf *b, uint16_t type, const struct message *m, const void *x);
/* The map is all of @data. On failure *x is the empty value. */
MUST_CHECK int message_decode(const void *data, size_t len, const struct message *m, void *x);

#endif /* PROTO_INTERNAL_H */
