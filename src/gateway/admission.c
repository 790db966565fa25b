/* How much the gateway takes on before it says 503: what it keeps in memory, and what the embedded broker can
 * hold. */
#include "gateway/internal.h"

/* The embedded broker counts a ticket at its largest: with context and drafts, which add about this. */
#define EMBEDDED_GROWTH (8 * 1024)
#define RECORD_OVERHEAD 1024 /* ids, headers and tables of a ticket */

size_t gateway_charge(const struct gateway *gateway, size_t body_bytes)
{
    return body_bytes + RECORD_OVERHEAD + (gateway->embedded ? EMBEDDED_GROWTH : 0);
}

bool gateway_admit(struct gateway *gateway, size_t bytes)
{
    size_t most = (size_t)conf_int(
        gateway->conf, gateway->embedded ? CONF_GATEWAY_EMBEDDED_BYTES : CONF_GATEWAY_MAX_WAITING_BYTES);
    size_t most_tickets = (size_t)conf_int(gateway->conf, CONF_GATEWAY_MAX_WAITING);
    /* Whoever joins a run is not charged for it, but waits too. */
    if (gateway->unfinished >= most_tickets || waits_waiters(gateway->waits) >= most_tickets ||
        (gateway->unfinished > 0 && gateway->unfinished_bytes + bytes > most)) {
        metric_add(gateway->metrics.refused, 1);
        return false;
    }
    gateway->unfinished++;
    gateway->unfinished_bytes += bytes;
    metric_set(gateway->metrics.unfinished_bytes, (double)gateway->unfinished_bytes);
    return true;
}

void gateway_release(struct gateway *gateway, size_t bytes)
{
    gateway->unfinished--;
    gateway->unfinished_bytes -= bytes;
    metric_set(gateway->metrics.unfinished_bytes, (double)gateway->unfinished_bytes);
}
