/* What every transfer by libcurl has in common, whether somebody blocks on it or the loop drives it. */
#ifndef HELPDESK_HTTP_TRANSFER_H
#define HELPDESK_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include "http/call.h"

struct http_transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;           /* of the answer */
    char why[CURL_ERROR_SIZE]; /* libcurl's words for what went wrong */
    enum http_reach reach;
    bool out_of_reach; /* an address was refused */
};

/* Starts libcurl once for the process: before anything else of it. Any thread. */
void http_transfer_setup(void);
/* A handle with what is the same for every transfer; curl_easy_cleanup. It may serve one transfer after the
 * other. Starts libcurl too. Any thread. */
CURL *http_transfer_easy(void);
/* Sets `easy` (of http_transfer_easy), which stays the caller's, up for `request`, whose body is borrowed
 * until the end. `transfer` must stay where it is. */
void http_transfer_init(struct http_transfer *transfer, CURL *easy, const struct http_call_request *request);
void http_transfer_fini(struct http_transfer *transfer);
/* The status that came; false with the errors of http_call_done when `code` says that none did. */
bool http_transfer_ended(struct http_transfer *transfer, CURLcode code, int *status, struct error *err);

#endif
