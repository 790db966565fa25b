/* What both ways of delivering a batch need: which offsets are still ours, what became of the outputs. */
#include "bus/delivery.h"

#include <string.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"

rd_kafka_topic_partition_list_t *delivery_owned_offsets(
    const struct delivery *delivery, const struct bus_batch *batch, bool *all)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)batch->offset_count);
    *all = true;
    for (size_t i = 0; i < batch->offset_count; i++) {
        const struct batch_offset *offset = &batch->offsets[i];
        if (offset->ownership == 0 ||
            consumer_ownership(delivery->consumer, offset->topic, offset->partition) != offset->ownership) {
            *all = false;
            continue;
        }
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(delivery->conf, offset->topic, name);
        rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(list, name, offset->partition);
        entry->offset = offset->offset;
        entry->metadata_size = strlen(offset->metadata);
        entry->metadata = entry->metadata_size > 0 ? xstrdup(offset->metadata) : NULL; /* the list frees it */
    }
    return list;
}

/* A reply to a partition that there is not cannot be delivered, ever: nobody waits there. */
static bool leads_nowhere(struct batch_output *output)
{
    const struct bus_record *record = output->record;
    if (record->partition < 0 || output->code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        return false;
    }
    log_warn("a reply is left out: its topic has no such partition", LOG_STR("topic", record->topic),
        LOG_INT("partition", record->partition));
    metric_add(metrics_counter("helpdesk_bus_replies_left_out_total",
                   "Replies whose topic does not have the partition they were for", NULL),
        1);
    return output->removed = true;
}

bool delivery_outputs_acked(struct bus_batch *batch, struct commit_result *result, bool *stands)
{
    *stands = false;
    for (size_t i = 0; i < batch->output_count && !(*stands && result->err.disposition == ERROR_REJECT);
         i++) {
        struct batch_output *output = &batch->outputs[i];
        if (output->acked || output->removed || leads_nowhere(output)) {
            continue;
        }
        struct error err = {0};
        kafka_error(&err, output->code, output->record->topic);
        output->away = output->lone && strcmp(err.code, "topic_unavailable") == 0;
        bool counts = err.disposition == ERROR_REJECT || output->away;
        if (counts || result->err.disposition == ERROR_NONE) {
            result->err = err;
            result->output = (int)i;
            result->end = BUS_GIVEN_BACK;
            *stands = counts;
        }
    }
    return result->err.disposition == ERROR_NONE;
}

void delivery_drop_maps(struct bus_batch *batch)
{
    /* Stricter than Kafka's default: without the maps a restart repeats more, but nothing is lost. */
    log_warn("the broker refuses the map of finished records; committing without it");
    for (size_t i = 0; i < batch->offset_count; i++) {
        batch->offsets[i].metadata[0] = '\0';
    }
}
