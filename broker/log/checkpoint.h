/* The small text files of a log directory, in Apache Kafka's formats. Each is replaced as a whole: a crash leaves the old or
 * the new one. Unreadable is told from missing, because what to do differs. Pure but for the helpers that read and write.
 *
 * Offsets (recovery-point-offset-checkpoint, log-start-offset-checkpoint, replication-offset-checkpoint):
 *     0 NEWLINE count NEWLINE, then a line "topic partition offset" each */
#ifndef SKIFF_BROKER_LOG_CHECKPOINT_H
#define SKIFF_BROKER_LOG_CHECKPOINT_H

#include "common/env.h"
#include "common/uuid.h"
#include "common/writer.h"

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_LOG_START      "log-start-offset-checkpoint"
#define CHECKPOINT_HIGH_WATERMARK "replication-offset-checkpoint"
#define CHECKPOINT_CLEAN_SHUTDOWN ".kafka_cleanshutdown"
#define CHECKPOINT_META           "meta.properties"
#define CHECKPOINT_PARTITION      "partition.metadata"

/* ---- lines of numbers ---------------------------------------------------------------------------------------------- */

/* Cuts the head "version NEWLINE count NEWLINE" off *text; false when it is not there or says another version. */
NODISCARD bool checkpoint_parse_head(struct slice *text, int64_t *count);
void checkpoint_write_head(struct writer *w, size_t count);
/* The next line without its end; false when there is no whole one. */
NODISCARD bool checkpoint_next_line(struct slice *text, struct slice *line);
void checkpoint_write_number(struct writer *w, int64_t value);

/* ---- offsets of many logs ------------------------------------------------------------------------------------------ */

void offset_checkpoint_write_entry(struct writer *w, struct slice topic, int32_t partition, int64_t offset);
/* Calls `each` for every entry. False when the text is not whole; entries before the damage have been given then. */
NODISCARD bool offset_checkpoint_parse(struct slice text,
                                       void (*each)(void *context, struct slice topic, int32_t partition, int64_t offset), void *context);

/* ---- meta.properties ----------------------------------------------------------------------------------------------- */

struct log_dir_meta {
    char cluster_id[64]; /* Kafka allows any text here; ours is a uuid's; "" before the node has joined a cluster */
    int32_t node_id;
    struct uuid directory_id;
    int64_t broker_epoch; /* skiff.broker.epoch: DESIGN 4, what a restarting broker may claim; -1 when the line is missing */
};
void log_dir_meta_write(const struct log_dir_meta *meta, struct writer *w);
NODISCARD bool log_dir_meta_parse(struct log_dir_meta *meta, struct slice text);

/* ---- partition.metadata -------------------------------------------------------------------------------------------- */

void partition_metadata_write(struct uuid topic_id, struct writer *w);
NODISCARD bool partition_metadata_parse(struct slice text, struct uuid *topic_id);

/* ---- reading and replacing files ----------------------------------------------------------------------------------- */

/* The whole file, waiting; one reference. ERR_NOT_FOUND, ERR_LIMIT above `bytes_max`. */
NODISCARD enum err file_read_wait(struct env *env, const char *directory, const char *name, size_t bytes_max, struct buf **out);
/* Replaces directory/name durably, waiting: start and stop only. */
NODISCARD enum err file_replace_wait(struct env *env, const char *directory, const char *name, struct slice bytes);
/* Removes it durably, waiting; a missing one is fine. */
NODISCARD enum err file_remove_wait(struct env *env, const char *directory, const char *name);

/* The same as file_replace_wait in the background. The caller's memory until done(); one at a time for each name. */
struct file_replace {
    void (*done)(struct file_replace *replace, enum err err, int64_t now_us); /* the caller's */
    struct env *env;
    struct env_op op;
    char *directory, *path, *temporary;
    bool is_renamed;
    bool is_cancelled; /* set by the caller: the directory is going away, nothing is renamed any more */
};
/* An error that shows at once is returned, and done() does not come. */
NODISCARD enum err file_replace_start(struct file_replace *replace, struct env *env, const char *directory, const char *name,
                                      struct slice bytes);
/* Frees what one under way holds, when its completion will never come (plog_abandon). */
void file_replace_abandon(struct file_replace *replace);

#endif
