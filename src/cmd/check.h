/* Parts of `helpdesk check`. */
#ifndef HELPDESK_CMD_CHECK_H
#define HELPDESK_CMD_CHECK_H

#include "conf/conf.h"

/* Prints a part's line; returns `ok`. */
bool check_line(const char *what, bool ok, const char *detail);

/* Reads the files of the settings as the roles would: schemas, taxonomy, models, prices, voices. */
bool check_files(const struct conf *conf);
/* Lists each source of the knowledge base up to its first document. */
bool check_sources(const struct conf *conf);

#endif
