/* What each harness defines: libFuzzer calls it, and so does replay.c.  Returns 0; a fault ends the process. */
#ifndef SKIFF_TESTS_FUZZ_FUZZ_H
#define SKIFF_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
