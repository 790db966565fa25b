/* GET /customers/{external_id}/context, and the reference's spelling of it under /tickets. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "gateway/answer_out.h"
#include "gateway/internal.h"
#include "kb/customer.h"

struct lookup {
    struct gateway *gateway;
    struct http_request *request;
    const char *external_id;
};

static void loaded(void *arg, struct msg_customer_context *customer, const struct error *err)
{
    struct lookup *lookup = arg;
    lookup->gateway->pending--;
    if (err != NULL) {
        request_fail(lookup->request, err);
        return;
    }
    if (customer == NULL) {
        http_respond_problem(lookup->request, 404, "There is no customer with this external id.");
        return;
    }
    struct buf body;
    buf_init(&body, ANSWER_MAX_BYTES);
    answer_render_customer(&body, customer);
    customer_cache_put(lookup->gateway->customers, lookup->gateway->tenant, lookup->external_id,
        buf_text(&body), clock_mono_ms());
    http_respond_json(lookup->request, 200, buf_text(&body));
    buf_fini(&body);
}

static void answer_customer(struct gateway *gateway, struct http_request *request, const char *external_id)
{
    int64_t age_ms;
    const char *kept =
        customer_cache_get(gateway->customers, gateway->tenant, external_id, clock_mono_ms(), &age_ms);
    if (kept != NULL) {
        http_response_header(
            request, "Age", arena_printf(http_request_arena(request), "%lld", (long long)(age_ms / 1000)));
        http_respond_json(request, 200, kept);
        return;
    }
    if (!request_check_database(gateway, request)) {
        return;
    }
    struct arena *arena = http_request_arena(request);
    struct lookup *lookup = ARENA_NEW(arena, struct lookup);
    lookup->gateway = gateway;
    lookup->request = request;
    lookup->external_id = external_id;
    gateway->pending++;
    customer_context_load(gateway->db, gateway->tenant, external_id, arena, loaded, lookup);
}

void handle_customer_get(struct http_request *request, void *arg)
{
    answer_customer(arg, request, http_request_param(request, "external_id"));
}

/* {ticket_id} is the customer's id here, as in the reference; it is never looked up as a ticket. */
void handle_customer_get_by_ticket_path(struct http_request *request, void *arg)
{
    const char *external_id = http_request_query(request, "customer_external_id");
    if (external_id == NULL || external_id[0] == '\0') {
        external_id = http_request_param(request, "ticket_id");
    }
    answer_customer(arg, request, external_id);
}
