/* Counters, gauges and histograms, rendered in Prometheus' text format 0.0.4. */
#ifndef HELPDESK_BASE_METRICS_H
#define HELPDESK_BASE_METRICS_H

#include "base/buf.h"

struct metric;

/* Find or make the series `name{labels}`. `labels` is rendered text such as `stage="classifier"`, or NULL; it
 * never holds a customer's data. Names start with "helpdesk_". The result lives as long as the process. Any
 * thread. */
struct metric *metrics_counter(const char *name, const char *help, const char *labels);
struct metric *metrics_gauge(const char *name, const char *help, const char *labels);
/* Buckets from 1 ms to 60 s, for durations in seconds. */
struct metric *metrics_histogram(const char *name, const char *help, const char *labels);

void metric_add(struct metric *metric, double amount);    /* counter: amount >= 0; gauge: any */
void metric_set(struct metric *metric, double value);     /* gauge */
void metric_observe(struct metric *metric, double value); /* histogram */
double metric_value(const struct metric *metric);         /* counter, gauge; a histogram's count */

void metrics_render(struct buf *out);

#endif
