/* Who logs in at which database, as a secret tells it. */
#ifndef HELPDESK_DB_DB_LOGIN_H
#define HELPDESK_DB_DB_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"

/* The connection string that `url` (libpq's, may be empty) becomes with what `secret` says: JSON as Amazon
 * RDS writes it, {"username", "password", "host", "port", "dbname", "engine"}; only the first two are needed
 * when `url` says where. In the arena. NULL with ERROR_FATAL "db_secret", which names the member and shows
 * nothing of it, or "db_url".
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html */
const char *db_login_url(
    struct arena *arena, const char *url, const char *secret, size_t len, struct error *err);

#endif
