#!/bin/bash
# Our own rules, those that a script can hold: lengths, banned calls, leftovers, self-made paths.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
fail() { echo "tidy: $1"; shift; printf '%s\n' "$@"; bad=1; }

code=$(git ls-files 'common/*.[ch]' 'proto/*.[ch]' 'controller/*.[ch]' 'broker/*.[ch]')
all=$(git ls-files '*.[ch]' '*.sh' '*.mk' Makefile '*.kmsg' '*.proto' '*.def')

long=$(wc -l $code | awk '$2 != "total" && $1 > 1000 {print $2 ": " $1 " lines"}')
[ -n "$long" ] && fail "files above 1,000 lines" "$long"

wide=$(awk 'length($0) > 160 {print FILENAME ":" FNR}' $code)
[ -n "$wide" ] && fail "lines above 160 columns" "$wide"

if command -v ctags >/dev/null && ctags --version | grep -q Universal; then
  functions=$(printf '%s\n' $code | grep '\.c$' | ctags -L - --languages=C --kinds-C=f --fields=+ne -f - 2>/dev/null |
    awk -F'\t' '{l = e = 0; for (i = 4; i <= NF; i++) {if ($i ~ /^line:/) l = substr($i, 6); if ($i ~ /^end:/) e = substr($i, 5)} if (e - l > 80) print $2 ": " $1 " " e - l + 1 " lines"}')
  [ -n "$functions" ] && fail "functions above 80 lines" "$functions"
else
  echo "tidy: function lengths SKIPPED (no Universal Ctags)"
fi

banned=$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strncpy|strtok|atoi|atol|gets|alloca|rand|srand|gmtime|localtime|setjmp|longjmp)\(' $code | grep -vE '^[^:]+:[0-9]+: *(\*|/\*|//)')
[ -n "$banned" ] && fail "banned calls" "$banned"
memory=$(grep -nE '\b(malloc|calloc|realloc|free)\(' $(printf '%s\n' $code | grep -vE '^common/(mem\.c|io/)|^proto/kmsgc\.c$') | grep -vE 'mem_|_free\(|->free\(|\.free\(' )
[ -n "$memory" ] && fail "heap memory outside common/mem.h" "$memory"
left=$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b' $all | grep -v '^tests/tidy/tidy.sh')
[ -n "$left" ] && fail "leftovers" "$left"
blank=$(grep -nE '[[:space:]]+$' $code)
[ -n "$blank" ] && fail "blanks at line ends" "$blank"
empty=$(for f in $(git ls-files '*.h'); do grep -q '^#ifndef SKIFF_' "$f" || echo "$f"; done)
[ -n "$empty" ] && fail "headers without a guard" "$empty"

[ "$bad" = 0 ] && echo "tidy: ok ($(printf '%s\n' $code | wc -l) files)"
exit "$bad"
