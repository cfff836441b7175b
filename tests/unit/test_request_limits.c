/* Every string, array and bytes of every request that is served, at its limit: the node lives, and each request gets an answer that can be
 * read, or costs its connection. */
#include "tests/unit/extreme_request.h"
#include "tests/unit/node_fixture.h"

#include "broker/handlers/handler.h"

#define FRAME_BYTES  (128 << 10)
#define ANSWER_BYTES (256 << 20)

struct tally {
    int answered, closed;
};

static void connect_for_large_answers(struct fixture *f)
{
    struct channel_handler handler = {.on_closed = fixture_closed, .user = f};
    if (f->channel) channel_close(f->channel);
    f->is_closed = false;
    f->channel = channel_open(f->client, f->nodes[0].host, 9092, "test", SIM_SECOND, ANSWER_BYTES, &handler);
}

static void check_answer(struct fixture *f, int16_t key, const struct extreme *x)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    void *response = arena_alloc(&arena, codec_struct_size(api_response(key)));
    ck_assert_msg(codec_decode_exact(api_response(key), x->version, f->body, &arena, response) == ERR_OK, "%s %d: %s", api_name(key),
                  x->version, x->field);
    arena_deinit(&arena);
}

static void ask(struct fixture *f, int16_t key, const struct extreme *x, struct buf *body, struct tally *tally)
{
    fixture_send_raw(f, key, x->version, api_request_header_version(key, x->version) == 2, body);
    f->call.is_flexible = f->call.is_flexible && api_response_header_version(key, x->version) > 0;
    ck_assert_msg(sim_wait(f->sim, fixture_has_answer, f, 50 * SIM_SECOND), "%s %d is not answered: %s", api_name(key), x->version,
                  x->field);
    if (f->err == ERR_OK) {
        tally->answered++;
        check_answer(f, key, x);
        return;
    }
    ck_assert_int_ne(f->err, ERR_TIMEOUT);
    printf("# %s %d: %s costs the connection\n", api_name(key), x->version, x->field);
    tally->closed++;
    sim_run_for(f->sim, SIM_MS);
    connect_for_large_answers(f);
}

static void ask_all(struct fixture *f, int16_t key, int16_t version, enum extreme_shape shape, struct tally *tally)
{
    struct extreme x = {.kmsg = api_request(key), .version = version, .shape = shape, .frame_bytes = FRAME_BYTES};
    for (;; x.target++) {
        struct writer w;
        writer_init(&w, FRAME_BYTES);
        if (!extreme_build(&x, &w)) {
            writer_deinit(&w);
            return;
        }
        ask(f, key, &x, writer_take(&w), tally);
    }
}

/* It may exist. */
static void make_topic(struct fixture *f)
{
    struct create_topics_request_topics topic = {.name = SLICE_LITERAL(EXTREME_TOPIC), .num_partitions = 3, .replication_factor = 1};
    struct create_topics_request request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    ck_assert_ptr_nonnull(fixture_ask(f, API_CREATE_TOPICS, 7, &request));
}

START_TEST(every_field_of_every_request_at_its_limit)
{
    const struct handler *handler = &handlers[_i];
    struct fixture *f = fixture_create("auto.create.topics.enable=false\n");
    struct tally tally = {0};
    connect_for_large_answers(f);
    for (int16_t version = handler->version_min; version <= handler->version_max; version++) {
        for (enum extreme_shape shape = 0; shape < EXTREME_SHAPE_COUNT; shape++) {
            make_topic(f); /* DeleteTopics takes it away */
            ask_all(f, handler->api_key, version, shape, &tally);
        }
    }
    printf("# %s: %d answered, %d closed\n", api_name(handler->api_key), tally.answered, tally.closed);
    fixture_end(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request_limits");
    TCase *tcase = tcase_create("core");
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, every_field_of_every_request_at_its_limit, 0, (int)handler_count);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
