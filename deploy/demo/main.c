/* failover-client: the client of deploy/failover-demo.sh and of the failover tests.
 *
 *   failover-client --bootstrap ADDRESSES --topic NAME [--partitions 3] [--replicas 3] [--min-insync 2]
 *                   [--lines 200000] [--rate 10000] [--request-timeout 30000]
 *
 * Creates the topic, streams lines into it, reads them, and takes commands on stdin, one a line; the answer to each ends
 * with a line "ok" or "failed":
 *   describe           the topic's partitions
 *   mark               gaps are measured from here
 *   await-acks [MS]    until every partition has acknowledged a record sent from now on; fails after 60 s, or MS
 *   await-isr N        until every partition has N in-sync replicas
 *   gaps               the longest gap between two acknowledgements of each partition since the mark
 *   counts             records sent, acknowledged, read
 *   finish             send the rest, flush, read everything again; the verdict.  Ends the program: status 0 only when it is good
 * Progress goes to stderr once a second. */
#include "deploy/demo/stream.h"

#include "common/str.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

enum { AWAIT_TIMEOUT_MS = 60000 };

static void print_counts(struct stream *s, FILE *out)
{
    (void)pthread_mutex_lock(&s->lock);
    (void)fprintf(out, "sent %u  acked %llu  read %llu", s->verdict.record_count, (unsigned long long)s->verdict.acked,
                  (unsigned long long)s->verdict.readers[READER_LIVE].read);
    (void)pthread_mutex_unlock(&s->lock);
}

/* Runs beside everything else until the process ends. */
static void *progress_run(void *argument)
{
    struct stream *s = argument;
    bool terminal = isatty(STDERR_FILENO) == 1;
    for (unsigned second = 1;; second++) {
        (void)sleep(1);
        if (!terminal && second % 5 != 0) continue;
        (void)fprintf(stderr, "%s  %3u s  ", terminal ? "\r" : "", second);
        print_counts(s, stderr);
        (void)fprintf(stderr, "%s", terminal ? "  \r" : "\n");
    }
    return NULL;
}

static bool parse_count(const char *text, int64_t max, int64_t *out)
{
    return str_parse_i64(slice_str(text), out) && *out >= 0 && *out <= max;
}

static bool run_command(struct stream *s, const char *command)
{
    int64_t members = 0, limit_ms = 0;
    if (strcmp(command, "describe") == 0) return stream_describe(s, stdout);
    if (strcmp(command, "await-acks") == 0) return stream_await_acks(s, AWAIT_TIMEOUT_MS);
    if (strncmp(command, "await-acks ", 11) == 0 && parse_count(command + 11, AWAIT_TIMEOUT_MS, &limit_ms))
        return stream_await_acks(s, (int)limit_ms);
    if (strncmp(command, "await-isr ", 10) == 0 && str_parse_i64(slice_str(command + 10), &members))
        return stream_await_isr(s, (int)members, AWAIT_TIMEOUT_MS);
    if (strcmp(command, "mark") == 0)
        stream_mark(s);
    else if (strcmp(command, "gaps") == 0)
        stream_print_gaps(s, stdout);
    else if (strcmp(command, "counts") == 0) {
        print_counts(s, stdout);
        (void)printf("\n");
    } else
        return false;
    return true;
}

/* Until "finish" or the end of stdin; true when the verdict is good. */
static bool serve_commands(struct stream *s)
{
    char line[128];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        bool last = strcmp(line, "finish") == 0;
        bool ok = last ? stream_finish(s, stdout) : run_command(s, line);
        (void)printf("%s\n", ok ? "ok" : "failed");
        (void)fflush(stdout);
        if (last) return ok;
    }
    (void)fprintf(stderr, "failover-client: ended without a verdict\n");
    _exit(2); /* the script that steers it is gone: nothing is left to judge */
}

static bool parse_options(int argc, char **argv, struct stream_options *o)
{
    static const struct option known[] = {{"bootstrap", 1, NULL, 'b'}, {"topic", 1, NULL, 't'},           {"partitions", 1, NULL, 'p'},
                                          {"replicas", 1, NULL, 'r'},  {"min-insync", 1, NULL, 'm'},      {"lines", 1, NULL, 'n'},
                                          {"rate", 1, NULL, 's'},      {"request-timeout", 1, NULL, 'q'}, {NULL, 0, NULL, 0}};
    *o = (struct stream_options){
        .partitions = 3, .replicas = 3, .min_insync = "2", .request_timeout_ms = "30000", .lines_min = 200000, .lines_per_s = 10000};
    int64_t number = 0;
    for (int c = getopt_long(argc, argv, "", known, NULL); c != -1; c = getopt_long(argc, argv, "", known, NULL)) {
        if (c == 'b')
            o->bootstrap = optarg;
        else if (c == 't')
            o->topic = optarg;
        else if (c == 'm')
            o->min_insync = optarg;
        else if (c == 'q')
            o->request_timeout_ms = optarg;
        else if (c == 'p' && parse_count(optarg, VERDICT_PARTITIONS_MAX, &number) && number > 0)
            o->partitions = (int32_t)number;
        else if (c == 'r' && parse_count(optarg, 99, &number))
            o->replicas = (int32_t)number;
        else if (c == 'n' && parse_count(optarg, 100000000, &number))
            o->lines_min = (uint64_t)number;
        else if (c == 's' && parse_count(optarg, 100000000, &number))
            o->lines_per_s = (uint64_t)number;
        else
            return false;
    }
    return o->bootstrap && o->topic && optind == argc;
}

int main(int argc, char **argv)
{
    struct stream_options options;
    static struct stream stream; /* large: it holds a place for every partition */
    pthread_t progress;
    if (!parse_options(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: failover-client --bootstrap ADDRESSES --topic NAME [--partitions N] [--replicas N] "
                              "[--min-insync N] [--lines N] [--rate N]\n");
        return 2;
    }
    if (!stream_init(&stream, &options)) return 2;
    stream_start(&stream);
    if (pthread_create(&progress, NULL, progress_run, &stream) != 0) return 2;
    bool good = serve_commands(&stream);
    (void)pthread_cancel(progress);
    (void)pthread_join(progress, NULL);
    stream_deinit(&stream);
    return good ? 0 : 1;
}
