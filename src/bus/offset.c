/* Where a partition begins and ends. */
#include "bus/kafka.h"

rd_kafka_resp_err_t kafka_offset(rd_kafka_t *kafka, const char *topic_name, int32_t partition, int64_t place,
    int timeout_ms, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *asked = rd_kafka_topic_partition_list_add(list, topic_name, partition);
    asked->offset = place;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(kafka, list, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = asked->err;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *offset = asked->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}
