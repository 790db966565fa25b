/* What PostgreSQL's errors mean to us. */
#ifndef HELPDESK_DB_DB_ERROR_H
#define HELPDESK_DB_DB_ERROR_H

#include <libpq-fe.h>
#include <stdbool.h>
#include "base/error.h"

/* Fills `err` from a failed result by its SQLSTATE. The values that a message of PostgreSQL may quote stay
 * out: what is wrong with data is told by code, table, column and constraint only. */
void db_error_from_result(struct error *err, const PGresult *result);

/* Fills `err` (ERROR_RETRY "db_unavailable") with what libpq says of a connection, on one line, its password
 * blotted out. */
void db_error_from_connection(struct error *err, const PGconn *conn);

/* This SQLSTATE means that a prepared statement is gone or no longer fits its tables: prepare anew. */
bool db_error_is_stale_plan(const PGresult *result);

/* Reads libpq's connection string or URI. False: ERROR_FATAL "db_url", without quoting it. */
bool db_url_check(const char *url, struct error *err);

/* Starts (or with `wait`, finishes) connecting to `url` with the project's defaults, which the URL may
 * override. */
PGconn *db_connect(const char *url, bool wait);

#endif
