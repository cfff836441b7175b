#include "broker/node/replica_throttle.h"

#include "broker/node/dynamic_config.h"
#include "common/str.h"

static const char *const RATES[] = {"leader.replication.throttled.rate", "follower.replication.throttled.rate"};
static const char *const LISTS[] = {"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"};

double replica_throttle_rate(const struct image *image, int32_t broker_id, enum throttle_side side, int64_t otherwise)
{
    const char *text = dynamic_config_text(image, broker_id, RATES[side]);
    int64_t rate = otherwise;
    if (text && !str_parse_i64(str_trim(slice_str(text)), &rate)) rate = otherwise; /* checked where it was set */
    if (rate == INT64_MAX) return 0;
    return rate > 0 ? (double)rate : 1; /* a rate of nothing would never end */
}

/* "PARTITION:BROKER" */
static bool is_named(struct slice part, int32_t partition, int32_t broker_id)
{
    struct slice rest = part, number;
    int64_t values[2] = {-1, -1};
    for (size_t i = 0; i < 2; i++)
        if (!str_split(&rest, ':', &number) || !str_parse_i64(number, &values[i])) return false;
    return values[0] == partition && values[1] == broker_id;
}

bool replica_throttle_names(const struct image_topic *topic, int32_t partition, int32_t broker_id, enum throttle_side side)
{
    const char *list = image_configs_get(&topic->configs, LISTS[side]);
    struct slice rest = list ? slice_str(list) : SLICE_NULL, part;
    if (!list) return false;
    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (slice_equal_str(part, "*") || is_named(part, partition, broker_id)) return true;
    }
    return false;
}

void replica_throttle_passed(struct replica_throttle *throttle, int64_t bytes, int64_t now_us)
{
    if (throttle->rate > 0) token_bucket_take(&throttle->bucket, throttle->rate, bytes, now_us);
}

int64_t replica_throttle_wait_us(struct replica_throttle *throttle, int64_t now_us)
{
    return throttle->rate > 0 ? token_bucket_wait_us(&throttle->bucket, throttle->rate, now_us) : 0;
}

int32_t replica_throttle_cut(const struct replica_throttle *throttle, int32_t bytes_max)
{
    return throttle->rate > 0 && throttle->rate < bytes_max ? (int32_t)throttle->rate : bytes_max;
}
