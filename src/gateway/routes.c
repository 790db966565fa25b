/* The table of routes: every endpoint of the HTTP API. */
#include "gateway/internal.h"

const struct http_route gateway_routes[] = {
    {"POST", "/tickets", handle_ticket_intake},
    {"POST", "/tickets/classify", handle_ticket_classify},
    {"POST", "/tickets/context", handle_ticket_context},
    {"POST", "/tickets/respond", handle_ticket_respond},
    {"POST", "/tickets/auto-orchestrate", handle_ticket_orchestrate},
    {"GET", "/tickets/{ticket_id}", handle_ticket_get},
    {"GET", "/tickets/{ticket_id}/context", handle_customer_get_by_ticket_path},
    {"POST", "/tickets/{ticket_id}/feedback", handle_feedback},
    {"GET", "/customers/{external_id}/context", handle_customer_get},
    {"POST", "/kb/sync", handle_kb_sync},
    {"POST", "/kb/events", handle_kb_events},
    {"GET", "/kb/sync/{job_id}", handle_kb_job_get},
    {"GET", "/health", handle_health},
    {"GET", "/health/live", handle_health_live},
    {"GET", "/health/ready", handle_health_ready},
    {NULL, NULL, NULL},
};
