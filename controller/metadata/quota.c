#include "controller/metadata/quota.h"

#include "common/mem.h"
#include "common/writer.h"

#define MUTATION_SECONDS 11 /* Kafka's controller.quota.window.num, of a second each */

struct quota_bucket {
    struct token_bucket bucket;
    double rate; /* the last one */
    size_t key_size;
    uint8_t key[];
};

void quotas_init(struct quotas *quotas, uint64_t seed)
{
    *quotas = (struct quotas){0};
    for (size_t i = 0; i < QUOTA_KINDS; i++) map_init(&quotas->buckets[i], seed);
}

void quotas_deinit(struct quotas *quotas)
{
    for (size_t i = 0; i < QUOTA_KINDS; i++) {
        MAP_FOR_EACH (&quotas->buckets[i], struct quota_bucket, bucket) mem_free(bucket);
        map_deinit(&quotas->buckets[i]);
    }
}

/* ---- what is set ----------------------------------------------------------------------------------------------------- */

static const struct image_quota_value *value_of(const struct image *image, const struct quota_entity *entity, enum quota_kind kind)
{
    static const char *const keys[QUOTA_KINDS] = {[QUOTA_PRODUCE] = "producer_byte_rate",
                                                  [QUOTA_FETCH] = "consumer_byte_rate",
                                                  [QUOTA_REQUEST] = "request_percentage",
                                                  [QUOTA_CONNECT] = "connection_creation_rate",
                                                  [QUOTA_MUTATION] = "controller_mutation_rate"};
    const struct image_quota *quota = image_quota_get(image, entity);
    for (uint32_t i = 0; quota && i < quota->count; i++)
        if (strcmp(quota->values[i].key, keys[kind]) == 0) return &quota->values[i];
    return NULL;
}

/* How a quota names its user or its client id. */
enum naming { NAMING_NONE, NAMING_DEFAULT, NAMING_OWN };
struct precedence {
    enum naming user, client_id;
};

/* Kafka's, most special first. */
static const struct precedence ORDER[] = {
    {NAMING_OWN, NAMING_OWN},         {NAMING_OWN, NAMING_DEFAULT},  {NAMING_OWN, NAMING_NONE}, {NAMING_DEFAULT, NAMING_OWN},
    {NAMING_DEFAULT, NAMING_DEFAULT}, {NAMING_DEFAULT, NAMING_NONE}, {NAMING_NONE, NAMING_OWN}, {NAMING_NONE, NAMING_DEFAULT},
};

static void name_part(struct quota_entity *entity, enum quota_entity_type type, enum naming naming, char *name)
{
    entity->has[type] = naming != NAMING_NONE;
    entity->names[type] = naming == NAMING_OWN ? name : NULL;
}

/* NULL: none holds for these. */
static const struct image_quota_value *find_quota(const struct image *image, enum quota_kind kind, struct slice user,
                                                  struct slice client_id, struct precedence *found)
{
    const struct image_quota_value *value = NULL;
    char *user_text = mem_strndup((const char *)user.p, user.n), *client_text = mem_strndup((const char *)client_id.p, client_id.n);
    for (size_t i = 0; !value && i < sizeof ORDER / sizeof *ORDER; i++) {
        struct quota_entity entity = {0};
        *found = ORDER[i];
        name_part(&entity, QUOTA_USER, found->user, user_text);
        name_part(&entity, QUOTA_CLIENT_ID, found->client_id, client_text);
        value = value_of(image, &entity, kind);
    }
    mem_free(user_text);
    mem_free(client_text);
    return value;
}

/* In what is charged, a second: requests are charged nanoseconds, and 100 percent are a second of the one thread. */
static double rate_of(enum quota_kind kind, const struct image_quota_value *quota)
{
    return kind == QUOTA_REQUEST ? quota->value / 100 * 1e9 : quota->value;
}

int64_t quotas_rate(const struct image *image, enum quota_kind kind, struct slice user, struct slice client_id)
{
    struct precedence found;
    const struct image_quota_value *quota = map_count(&image->quotas) ? find_quota(image, kind, user, client_id, &found) : NULL;
    double rate = quota ? rate_of(kind, quota) : 0;
    return quota && rate < (double)INT64_MAX ? (int64_t)rate : INT64_MAX;
}

/* ---- what is used ---------------------------------------------------------------------------------------------------- */

static void drop_full(struct map *buckets, int64_t now_us)
{
    MAP_FOR_EACH (buckets, struct quota_bucket, bucket) {
        token_bucket_fill(&bucket->bucket, bucket->rate, now_us);
        if (bucket->bucket.tokens < bucket->rate * (bucket->bucket.seconds > 0 ? bucket->bucket.seconds : 1)) continue;
        map_remove(buckets, slice_make(bucket->key, bucket->key_size));
        mem_free(bucket);
    }
}

/* NULL: there are too many. */
static struct quota_bucket *bucket_of(struct map *buckets, struct slice key, int64_t now_us)
{
    struct quota_bucket *bucket = map_get(buckets, key);
    if (bucket) return bucket;
    if (map_count(buckets) >= QUOTA_BUCKETS_MAX) drop_full(buckets, now_us);
    if (map_count(buckets) >= QUOTA_BUCKETS_MAX) return NULL;
    bucket = mem_alloc(sizeof *bucket + key.n);
    bucket->key_size = key.n;
    memcpy(bucket->key, key.p, key.n);
    map_put(buckets, slice_make(bucket->key, key.n), bucket);
    return bucket;
}

/* A user's quota is for all its client ids, a client id's for all its users; what follows a length is not taken for the next part. */
static void write_key(struct writer *out, struct precedence of, struct slice user, struct slice client_id)
{
    writer_u32(out, of.user == NAMING_NONE ? UINT32_MAX : (uint32_t)user.n);
    if (of.user != NAMING_NONE) writer_bytes(out, user);
    if (of.client_id != NAMING_NONE) writer_bytes(out, client_id);
}

/* The bucket of whose quota it is; NULL: there is none. */
static struct token_bucket *find_bucket(struct quotas *quotas, const struct image *image, enum quota_kind kind, struct slice user,
                                        struct slice client_id, double *rate, int64_t now_us)
{
    struct precedence found;
    struct writer key;
    const struct image_quota_value *quota = map_count(&image->quotas) ? find_quota(image, kind, user, client_id, &found) : NULL;
    if (!quota) return NULL;
    writer_init(&key, 64);
    write_key(&key, found, user, client_id);
    struct quota_bucket *own = bucket_of(&quotas->buckets[kind], writer_slice(&key), now_us);
    writer_deinit(&key);
    *rate = rate_of(kind, quota);
    if (own) own->rate = *rate;
    return own ? &own->bucket : &quotas->for_others[kind];
}

int64_t quotas_charge(struct quotas *quotas, const struct image *image, enum quota_kind kind, struct slice user, struct slice client_id,
                      int64_t bytes, int64_t now_us)
{
    double rate = 0;
    ASSERT(bytes >= 0);
    struct token_bucket *bucket = find_bucket(quotas, image, kind, user, client_id, &rate, now_us);
    if (!bucket) return 0;
    token_bucket_take(bucket, rate, bytes, now_us);
    int64_t wait_us = token_bucket_wait_us(bucket, rate, now_us);
    quotas->throttled[kind] += wait_us > 0;
    return wait_us;
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

struct slice quota_user(const char *principal)
{
    static const char prefix[] = "User:";
    size_t n = sizeof prefix - 1;
    return slice_str(strncmp(principal, prefix, n) == 0 ? principal + n : principal);
}

bool quotas_mutate(struct quota_mutation *mutation, const struct image *image, int64_t partitions)
{
    double rate = 0;
    ASSERT(partitions >= 0);
    struct token_bucket *bucket =
        find_bucket(mutation->quotas, image, QUOTA_MUTATION, mutation->user, mutation->client_id, &rate, mutation->now_us);
    if (!bucket) return true;
    bucket->seconds = MUTATION_SECONDS;
    int64_t owed_us = token_bucket_wait_us(bucket, rate, mutation->now_us);
    bool is_refused = mutation->is_strict && owed_us > 0;
    if (!is_refused) token_bucket_take(bucket, rate, partitions, mutation->now_us);
    /* Whoever is let in by the strict way is told nothing yet. */
    int64_t wait_us = mutation->is_strict ? owed_us : token_bucket_wait_us(bucket, rate, mutation->now_us);
    if (wait_us > mutation->wait_us) mutation->wait_us = wait_us;
    mutation->quotas->throttled[QUOTA_MUTATION] += wait_us > 0;
    return !is_refused;
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

static const struct image_quota_value *find_address_quota(const struct image *image, struct slice address)
{
    struct quota_entity entity = {.has = {[QUOTA_IP] = true}};
    char *text = mem_strndup((const char *)address.p, address.n);
    entity.names[QUOTA_IP] = text;
    const struct image_quota_value *quota = value_of(image, &entity, QUOTA_CONNECT);
    entity.names[QUOTA_IP] = NULL; /* the default */
    if (!quota) quota = value_of(image, &entity, QUOTA_CONNECT);
    mem_free(text);
    return quota;
}

int64_t quotas_connect(struct quotas *quotas, const struct image *image, struct slice address, int64_t now_us)
{
    if (map_count(&image->quotas) == 0) return 0;
    const struct image_quota_value *quota = find_address_quota(image, address);
    if (!quota) return 0;
    struct quota_bucket *own = bucket_of(&quotas->buckets[QUOTA_CONNECT], address, now_us);
    struct token_bucket *bucket = own ? &own->bucket : &quotas->for_others[QUOTA_CONNECT];
    if (own) own->rate = quota->value;
    token_bucket_take(bucket, quota->value, 1, now_us);
    int64_t wait_us = token_bucket_wait_us(bucket, quota->value, now_us);
    if (wait_us > 0) bucket->tokens += 1;
    quotas->throttled[QUOTA_CONNECT] += wait_us > 0;
    return wait_us;
}
