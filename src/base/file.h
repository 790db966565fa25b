/* Small files, read whole. */
#ifndef HELPDESK_BASE_FILE_H
#define HELPDESK_BASE_FILE_H

#include "base/buf.h"

/* Appends what the file at `path` holds. NULL, or why that cannot be done, for a person: the system's words,
 * or that the file is over the ceiling of `out`; valid until the thread's next call into libc. */
const char *file_read(const char *path, struct buf *out);

#endif
