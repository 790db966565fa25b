/* Which addresses a call may connect to, judged after the name was resolved. */
#ifndef HELPDESK_HTTP_REACH_H
#define HELPDESK_HTTP_REACH_H

#include <stdbool.h>
#include <sys/socket.h>
#include "http/call.h"

/* Pure; any thread. Families other than IPv4 and IPv6 are out of reach. */
bool http_reach_allows(enum http_reach reach, const struct sockaddr *address);

#endif
