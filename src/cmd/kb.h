/* What `helpdesk kb` was asked for, shared by its parts. */
#ifndef HELPDESK_CMD_KB_H
#define HELPDESK_CMD_KB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_NAME "kb"
#define KB_OUTPUT_BYTES ((size_t)64 << 20)

struct kb { /* texts are borrowed from argv */
    const char *what;
    const char *url;    /* NULL: from the settings */
    const char *source; /* NULL: all */
    const char *tenant; /* NULL: that of the settings */
    const char *key;    /* NULL: all */
    const char *last;
    const char *to_text;
    int64_t to; /* revision */
    bool full;
    bool wait;
    bool all;
    bool dry_run;
    bool yes;
    bool json;
};

/* `helpdesk kb status` and the others that only tell; the exit code. */
int kb_report(const struct kb *kb);
/* `helpdesk kb rollback`; the exit code. */
int kb_rollback(const struct kb *kb);
/* `helpdesk kb forget`, of the source that `key` names; the exit code. */
int kb_forget(const struct kb *kb);

#endif
