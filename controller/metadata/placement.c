#include "controller/metadata/placement.h"

#include "common/assert.h"
#include "common/limits.h"
#include "common/mem.h"

static int by_id(const struct image_broker *a, const struct image_broker *b) { return (a->id > b->id) - (a->id < b->id); }

/* Sorted by id: the ring must not depend on the order of registration. */
static void insert_sorted(const struct image_broker **list, uint32_t count, const struct image_broker *broker)
{
    uint32_t at = count;
    for (; at > 0 && by_id(list[at - 1], broker) > 0; at--) list[at] = list[at - 1];
    list[at] = broker;
}

static bool is_same_rack(const struct image_broker *a, const struct image_broker *b) { return strcmp(a->rack, b->rack) == 0; }

/* The k-th broker of each rack, for k = 0, 1, 2 ... */
static void interleave_racks(struct placement *placement, const struct image_broker **sorted, uint32_t count)
{
    uint32_t *rank = mem_calloc(count, sizeof *rank); /* place within its rack */
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t earlier = 0; earlier < i; earlier++) rank[i] += is_same_rack(sorted[earlier], sorted[i]);
    uint32_t placed = 0;
    for (uint32_t k = 0; placed < count; k++) {
        for (uint32_t i = 0; i < count; i++) {
            if (rank[i] != k) continue;
            placement->ring[placed++] = sorted[i];
            placement->rack_count += k == 0;
        }
    }
    mem_free(rank);
}

void placement_init(struct placement *placement, const struct image *image, struct prng *prng)
{
    uint32_t total = map_count(&image->brokers);
    *placement = (struct placement){.ring = mem_calloc(total, sizeof(void *)), .start = prng_next(prng), .shift = prng_next(prng)};
    const struct image_broker **sorted = mem_calloc(total, sizeof(void *));
    struct image_broker *broker;
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));)
        if (image_broker_is_active(broker)) insert_sorted(sorted, placement->active_count++, broker);
    interleave_racks(placement, sorted, placement->active_count);
    placement->count = placement->active_count;
    for (uint32_t at = 0; (broker = image_next_broker(image, &at));) {
        if (image_broker_is_active(broker)) continue;
        insert_sorted(placement->ring + placement->active_count, placement->count - placement->active_count, broker);
        placement->count++;
    }
    mem_free(sorted);
}

void placement_deinit(struct placement *placement) { mem_free(placement->ring); }

static bool has_rack(const struct image_broker **chosen, uint32_t count, const struct image_broker *broker)
{
    for (uint32_t i = 0; i < count; i++)
        if (is_same_rack(chosen[i], broker)) return true;
    return false;
}

static bool has_broker(const struct image_broker **chosen, uint32_t count, const struct image_broker *broker)
{
    for (uint32_t i = 0; i < count; i++)
        if (chosen[i] == broker) return true;
    return false;
}

/* The first broker from `from` on around the ring that is not chosen yet; of a new rack while `new_rack`. */
static const struct image_broker *find(const struct placement *placement, uint64_t from, const struct image_broker **chosen, uint32_t count,
                                       bool new_rack)
{
    for (uint64_t i = 0; i < placement->active_count; i++) {
        const struct image_broker *broker = placement->ring[(from + i) % placement->active_count];
        if (has_broker(chosen, count, broker) || (new_rack && has_rack(chosen, count, broker))) continue;
        return broker;
    }
    return NULL;
}

void placement_next(const struct placement *placement, uint32_t n, uint32_t replica_count, int32_t *replicas)
{
    ASSERT(placement->active_count > 0);
    ASSERT(replica_count > 0 && replica_count <= placement->count && replica_count <= REPLICAS_MAX);
    const struct image_broker *chosen[REPLICAS_MAX];
    uint64_t active = placement->active_count;
    uint64_t first = (placement->start % active + n) % active;
    uint64_t distance = active > 1 ? (placement->shift % active + n / active) % (active - 1) : 0;
    chosen[0] = placement->ring[first];
    for (uint32_t i = 1; i < replica_count; i++) {
        if (i >= active) {
            /* In the ring order; n spreads them over partitions. */
            uint64_t fenced = placement->count - active;
            chosen[i] = placement->ring[active + (n + i - active) % fenced];
            continue;
        }
        uint64_t from = first + 1 + distance;
        chosen[i] = i < placement->rack_count ? find(placement, from, chosen, i, true) : NULL;
        if (!chosen[i]) chosen[i] = find(placement, from, chosen, i, false);
        ASSERT(chosen[i]);
    }
    for (uint32_t i = 0; i < replica_count; i++) replicas[i] = chosen[i]->id;
}
