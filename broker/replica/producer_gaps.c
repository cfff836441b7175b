/* See producer_gaps.h. */
#include "broker/replica/producer_gaps.h"

#include "common/mem.h"

struct producer_gap {
    struct list_node by_age;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence;   /* the first that was refused */
    int64_t refused_us; /* the last time */
};

void producer_gaps_init(struct producer_gaps *gaps, uint64_t seed)
{
    map_init(&gaps->by_id, seed);
    list_init(&gaps->by_age);
}

static void forget(struct producer_gaps *gaps, struct producer_gap *gap)
{
    map_remove(&gaps->by_id, MAP_KEY(&gap->producer_id));
    list_remove(&gap->by_age);
    mem_free(gap);
}

static struct producer_gap *oldest(struct producer_gaps *gaps)
{
    struct list_node *node = list_first(&gaps->by_age);
    return node ? CONTAINER_OF(node, struct producer_gap, by_age) : NULL;
}

void producer_gaps_deinit(struct producer_gaps *gaps)
{
    struct producer_gap *gap = NULL;
    while ((gap = oldest(gaps)) != NULL) forget(gaps, gap);
    map_deinit(&gaps->by_id);
}

static struct producer_gap *add(struct producer_gaps *gaps, int64_t producer_id)
{
    if (map_count(&gaps->by_id) >= PRODUCER_GAPS_MAX) forget(gaps, oldest(gaps));
    struct producer_gap *gap = mem_alloc(sizeof *gap);
    gap->producer_id = producer_id;
    map_put(&gaps->by_id, MAP_KEY(&gap->producer_id), gap);
    return gap;
}

void producer_gaps_note(struct producer_gaps *gaps, int64_t producer_id, int16_t epoch, int32_t sequence, int64_t now_us)
{
    ASSERT(producer_id >= 0);
    struct producer_gap *gap = map_get(&gaps->by_id, MAP_KEY(&producer_id));
    bool is_behind = gap && gap->epoch == epoch && gap->sequence <= sequence;
    if (gap)
        list_remove(&gap->by_age);
    else
        gap = add(gaps, producer_id);
    if (!is_behind) gap->sequence = sequence;
    gap->epoch = epoch;
    gap->refused_us = now_us;
    list_push_back(&gaps->by_age, &gap->by_age);
}

void producer_gaps_expire(struct producer_gaps *gaps, int64_t until_us)
{
    struct producer_gap *gap = NULL;
    while ((gap = oldest(gaps)) != NULL && gap->refused_us <= until_us) forget(gaps, gap);
}

bool producer_gaps_admit(struct producer_gaps *gaps, int64_t producer_id, int16_t epoch, int32_t sequence)
{
    struct producer_gap *gap = map_get(&gaps->by_id, MAP_KEY(&producer_id));
    if (!gap) return true;
    if (gap->epoch == epoch && gap->sequence < sequence) return false;
    forget(gaps, gap);
    return true;
}
