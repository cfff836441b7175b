#!/bin/bash
# The purity line (docs/ARCHITECTURE.md): no object of the pure layers may reference I/O, clock, randomness or threads, nor
# include a system I/O header, libuv or OpenSSL.   purity.sh ARCHIVE...
set -u
banned='uv_.*|SSL_.*|RAND_.*|open|open64|openat|creat|read|write|pread|pwrite|pread64|pwrite64|pwritev|preadv|readv|writev|close|fsync|fdatasync|sync|sendfile|sendfile64|'
banned+='fopen|fopen64|fread|fwrite|fclose|unlink|rename|mkdir|rmdir|opendir|ftruncate|truncate|fallocate|posix_fallocate|socket|connect|accept|bind|listen|send|recv|sendto|recvfrom|poll|select|epoll_.*|'
banned+='clock_gettime|gettimeofday|time|clock|nanosleep|usleep|sleep|rand|srand|random|srandom|getrandom|getentropy|pthread_.*|fork|exec.*|kill|signal|sigaction|getenv|system'
bad=0
for archive in "$@"; do
  found=$(nm -u "$archive" 2>/dev/null | awk '/\.o:$/ {o = $1} /^ *U / {sub(/@.*/, "", $2); print o, $2}' | grep -E " ($banned)$")
  [ -n "$found" ] && { echo "$archive reaches outside:"; echo "$found"; bad=1; }
done
headers='<(uv\.h|openssl/.*|fcntl\.h|unistd\.h|sys/(socket|stat|uio|epoll|sendfile|mman|time|file|statvfs)\.h|netinet/.*|arpa/.*|netdb\.h|pthread\.h|poll\.h|signal\.h|time\.h|dirent\.h)>|"common/io/'
found=$(grep -rnE "^ *# *include +($headers)" common proto controller broker --include='*.[ch]' |
  grep -vE '^(common/io/|broker/admin/|broker/cli/|broker/main\.c|proto/kmsgc\.c)')
[ -n "$found" ] && { echo "includes across the purity line:"; echo "$found"; bad=1; }
[ "$bad" = 0 ] && echo "purity: ok ($# archives)"
exit "$bad"
