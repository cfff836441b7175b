/* Kafka's codecs behind one bounded interface: gzip, snappy (with and without xerial's framing), lz4 frames, zstd.
 *
 * Output grows in windows as it is produced, never by what the input claims its size to be, and stops at the cap.  Input may
 * be hostile.  libsnappy is loaded on first use (it brings libstdc++ into the process); where it is absent, snappy is
 * reported as such.  Any thread. */
#ifndef SKIFF_PROTO_COMPRESSION_H
#define SKIFF_PROTO_COMPRESSION_H

#include "common/attr.h"
#include "common/err.h"
#include "common/writer.h"

/* Numbers as in a batch's attributes. */
enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4, COMPRESSION_ZSTD };

bool compression_is_known(enum compression type);
/* "none", "gzip", ...; "unknown". */
const char *compression_name(enum compression type);
/* The inverse; ERR_NOT_FOUND. */
NODISCARD enum err compression_parse(struct slice name, enum compression *out);

/* Appends to `out`.  ERR_CORRUPT: damaged input; ERR_LIMIT: more than out_max bytes; ERR_INVALID: unknown codec;
 * ERR_NOT_FOUND: the codec's library is not installed.  On an error `out` may hold a part. */
NODISCARD enum err compression_decompress(enum compression type, struct slice in, size_t out_max, struct writer *out);
/* Appends; ERR_INVALID and ERR_NOT_FOUND as above. */
NODISCARD enum err compression_compress(enum compression type, struct slice in, struct writer *out);
/* The same at one of Kafka's levels: gzip -1 (its own default) to 9, lz4 1 to 17, zstd -131072 to 22; the others have none. As with
 * Kafka, lz4's level 9, the default, is the fast compressor, all others the thorough one. */
NODISCARD enum err compression_compress_at(enum compression type, int32_t level, struct slice in, struct writer *out);
/* Kafka's default. */
int32_t compression_default_level(enum compression type);

#endif
