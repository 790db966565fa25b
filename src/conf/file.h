/* Reading a file of [section] and key = value: settings, and the profiles that the AWS SDKs share. */
#ifndef HELPDESK_CONF_FILE_H
#define HELPDESK_CONF_FILE_H

#include "conf/conf.h"

/* Calls `fn` for each "section.key" of the INI file at `path`, with where it stands ("helpdesk.conf:12").
 * What cannot be read at all is added to `problems`. */
typedef void conf_file_fn(void *arg, const char *where, const char *name, const char *value);
void conf_file_read(const char *path, conf_file_fn *fn, void *arg, struct buf *problems);

#endif
