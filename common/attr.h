/* Compiler attributes behind one name each. */
#ifndef SKIFF_COMMON_ATTR_H
#define SKIFF_COMMON_ATTR_H

#define NODISCARD                                 __attribute__((warn_unused_result))
#define NORETURN                                  __attribute__((noreturn))
#define PRINTF_LIKE(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#define UNUSED                                    __attribute__((unused))

/* The struct that holds `member` at `pointer`; the member's type is checked. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
