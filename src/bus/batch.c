/* A batch: outputs, and the offsets that are committed with them. */
#include "bus/batch.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

struct bus_batch *bus_batch_new(void)
{
    return xcalloc(1, sizeof(struct bus_batch));
}

void bus_batch_free(struct bus_batch *batch)
{
    if (!batch) {
        return;
    }
    for (size_t i = 0; i < batch->offset_count; i++) {
        free(batch->offsets[i].topic);
        free(batch->offsets[i].metadata);
    }
    free(batch->offsets);
    free(batch->outputs);
    free(batch);
}

int bus_batch_output(struct bus_batch *batch, const struct bus_record *out, bool lone)
{
    if (batch->output_count == batch->output_capacity) {
        batch->output_capacity = batch->output_capacity ? 2 * batch->output_capacity : 16;
        batch->outputs = xrealloc(batch->outputs, batch->output_capacity * sizeof(*batch->outputs));
    }
    batch->outputs[batch->output_count] = (struct batch_output){.record = out, .lone = lone};
    batch->bytes += bus_record_bytes(out);
    return (int)batch->output_count++;
}

bool bus_batch_away(const struct bus_batch *batch, int output)
{
    return batch->outputs[output].away;
}

bool bus_batch_acked(const struct bus_batch *batch, int output)
{
    return batch->outputs[output].acked;
}

void bus_batch_remove(struct bus_batch *batch, int output)
{
    if (batch->outputs[output].removed) {
        return;
    }
    batch->outputs[output].removed = true;
    batch->bytes -= bus_record_bytes(batch->outputs[output].record);
}

static struct batch_offset *find_offset(struct bus_batch *batch, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < batch->offset_count; i++) {
        if (batch->offsets[i].partition == partition && strcmp(batch->offsets[i].topic, topic) == 0) {
            return &batch->offsets[i];
        }
    }
    return NULL;
}

void bus_batch_offset(
    struct bus_batch *batch, const char *topic, int32_t partition, int64_t offset, const char *metadata)
{
    struct batch_offset *entry = find_offset(batch, topic, partition);
    if (!entry) {
        batch->offsets = xrealloc(batch->offsets, (batch->offset_count + 1) * sizeof(*batch->offsets));
        entry = &batch->offsets[batch->offset_count++];
        *entry = (struct batch_offset){.topic = xstrdup(topic), .partition = partition};
    }
    free(entry->metadata);
    entry->offset = offset;
    entry->metadata = xstrdup(metadata);
}

size_t bus_batch_bytes(const struct bus_batch *batch)
{
    return batch->bytes;
}
