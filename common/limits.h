/* Every bound of the system, with its reason.  A limit that is also a Kafka setting has its default in config.def. */
#ifndef SKIFF_COMMON_LIMITS_H
#define SKIFF_COMMON_LIMITS_H

/* -- text -- */
#define LOG_LINE_MAX    1024 /* a line a person can read; longer texts are cut */
#define HOST_MAX        255  /* RFC 1035 */
#define PATH_BYTES_MAX  4096 /* Linux PATH_MAX */
#define TOPIC_NAME_MAX  249  /* Kafka's: leaves room for "-PARTITION" in a 255-byte directory name */
#define CLIENT_ID_MAX   255  /* shown in logs, metrics and messages; longer ones are cut, and other names, too */
#define EXPLANATION_MAX 1024 /* error text for a client: what it quotes of a request is cut; Kafka's strings end at 32767 */

/* -- wire -- */
#define FRAME_BYTES_MIN         8           /* api key, version, correlation id */
#define ARRAY_COUNT_MAX         1000000     /* Kafka 4.4 reads no longer arrays */
#define TAG_COUNT_MAX           10000       /* the same for tagged fields */
#define DECODE_BUDGET_FACTOR    16          /* decoded structs may take this many times the bytes on the wire ... */
#define DECODE_BUDGET_BASE      65536       /* ... plus this, so that small requests never fail ... */
#define DECODE_BYTES_MAX        (32u << 20) /* ... and no more than this: a request for 100,000 partitions takes 10 MB */
#define ANSWER_BYTES_MAX        (128u << 20) /* one answer without its records; Metadata of 100,000 partitions takes 20 MB while it is made */
#define ANSWERS_BYTES_MAX       (64u << 20) /* of all connections, waiting in memory for their readers; beyond it who reads nothing goes */
#define TURN_ANSWER_BYTES       (256u << 10) /* of a connection that asks without a pause, before others have their turn: one large Metadata */
#define WAITING_FETCH_BYTES_MAX (64u << 20) /* fetches that wait for data; beyond it they are answered with what there is */
#define GROUPS_PER_REQUEST_MAX  10000       /* each takes half a KB while it is asked about, for some bytes on the wire */
#define CONFIG_NAMES_MAX        1000        /* settings named for one resource: more than there are */
#define UNANSWERED_REQUESTS_MAX 64          /* per connection; idempotent producers keep 5, librdkafka pipelines more */
#define FRAME_CHARGE_MIN        16384       /* smaller frames are not charged to the request memory budget */
#define CONNECTION_READ_BYTES   65536       /* one read of a connection */
#define CONNECTION_SPILL_BYTES  16384       /* of it beyond a frame that is read in place: the next frame's head, which is copied */

/* -- cluster -- */
#define VOTERS_MAX                         15 /* a quorum beyond that only gets slower */
#define REPLICAS_MAX                       64 /* per partition */
#define BROKERS_MAX                        1000
#define LISTENERS_MAX                      16     /* per node */
#define LOG_DIRS_MAX                       64     /* per node */
#define TOPIC_PARTITIONS_MAX               100000 /* per topic, and the cluster's design target */
#define METADATA_RECORDS_PER_OPERATION_MAX 10000  /* as Kafka's controller: one request, one atomic append */

/* -- replication -- */
#define PRODUCER_BATCHES_KEPT     5      /* per producer and partition: Kafka clients keep at most 5 in flight */
#define FETCH_SESSIONS_MAX        1000   /* Kafka's max.incremental.fetch.session.cache.slots */
#define FETCH_SESSION_ENTRIES_MAX 500000 /* partitions in the sessions of consumers: 120 MB; then fetches go without a session */
#define PRODUCER_ID_BLOCK         1000   /* ids that a broker takes from the controller at a time, as Kafka */

/* -- coordinators -- */
#define GROUP_SHARD_BYTES_MAX      (256u << 20) /* one partition of __consumer_offsets: 8 M offsets; then no new groups, members, offsets */
#define GROUP_PENDING_MEMBERS_MAX  10000        /* per group: ids given out and not used, each gone after a session timeout */
#define GROUP_WAITING_REQUESTS_MAX 10000        /* per shard, behind a delete or an expiry, which take one append */
#define GROUP_BATCH_RECORDS_MAX    1000         /* tombstones per append: far below any max.message.bytes */
#define GROUP_BATCH_BYTES_ENOUGH   (256u << 10) /* the same where names are long */
#define GROUP_BATCH_BYTES_MAX      (16u << 20)  /* one commit of offsets: 200,000 partitions; more than any max.message.bytes takes */
#define GROUP_REASONS_KEPT         16           /* rebalances that a person looks back at */
#define GROUP_REASON_MEMBER_BYTES  64           /* a client's name and most of the id */
#define GROUP_REASON_TEXT_BYTES    96           /* what a client says of itself; the rest is in its own log */

#endif
