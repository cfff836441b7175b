/* Tables for the docs, as Markdown, from the lists in the code. */
#include "broker/cli/cli.h"
#include "broker/handlers/dispatch.h"
#include "broker/node/dynamic_config.h"
#include "common/config.h"
#include "common/metrics.h"
#include "proto/api.h"

#include <stdio.h>
#include <string.h>

static void print_api_table(void)
{
    (void)printf("| key | API | versions served | flexible from |\n|--:|---|---|---|\n");
    for (size_t i = 0; i < handler_count; i++) {
        const struct handler *handler = &handlers[i];
        int16_t flexible = api_flexible_min(handler->api_key);
        (void)printf("| %d | %s | %d-%d | ", handler->api_key, api_name(handler->api_key), handler->version_min, handler->version_max);
        if (flexible <= handler->version_max)
            (void)printf("%d |\n", flexible);
        else
            (void)printf("never |\n");
    }
}

/* A cell of a Markdown table: '|' would end it. */
static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
}

static void print_config_table(void)
{
    static const char *const when[] = {
        [DYNAMIC_CONFIG_NEVER] = "", [DYNAMIC_CONFIG_CLUSTER] = "all brokers", [DYNAMIC_CONFIG_BROKER] = "one or all"};
    (void)printf("| setting | type | default | values | while running | |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        const struct setting *setting = &config_table[i];
        (void)printf("| %s | %s | %s | ", setting->name, setting_type_name(setting->type),
                     setting->default_text ? setting->default_text : "");
        print_cell(setting->range);
        (void)printf(" | %s | %s%s |\n", when[dynamic_config_mode(setting)],
                     setting->use == SETTING_WITHOUT_EFFECT ? "*without effect:* " : "", setting->doc);
    }
}

static void print_metrics_table(void)
{
    (void)printf("| metric | type | labels | in Kafka's dashboards | |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric *metric = &metric_table[i];
        (void)printf("| %s | %s | %s | %s | %s |\n", metric->name, metric_type_name(metric->type), metric->labels, metric->kafka_name,
                     metric->help);
    }
}

int command_internal(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "api-table") == 0)
        print_api_table();
    else if (strcmp(what, "config-table") == 0)
        print_config_table();
    else if (strcmp(what, "metrics-table") == 0)
        print_metrics_table();
    else
        return fprintf(stderr, "skiff internal: api-table, config-table or metrics-table\n"), 1;
    return 0;
}
