/* Planted bugs. A checker that never failed proves nothing: tests build everything once more with -DSKIFF_MUTANTS, switch one
 * mutant on after the other, and demand that the tests notice. In every other build MUTANT() is the constant false. */
#ifndef SKIFF_COMMON_MUTANT_H
#define SKIFF_COMMON_MUTANT_H

#include <stdbool.h>

#ifdef SKIFF_MUTANTS
/* The test program defines it. */
bool mutant_is_on(const char *name);
#define MUTANT(name) mutant_is_on(name)
#else
#define MUTANT(name) false
#endif

#endif
