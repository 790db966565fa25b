/* The admin listener of every role: GET /metrics, /health/live, /health/ready. Never on the public address.
 */
#ifndef HELPDESK_HTTP_ADMIN_H
#define HELPDESK_HTTP_ADMIN_H

#include "conf/conf.h"
#include "http/server.h"

/* Listens on admin.host:admin.port and logs the address. */
struct http_server *admin_new(struct loop *loop, const struct conf *conf, struct error *err);

#endif
