/* Whether passages and accepted answers that were found earlier may be quoted still, word for word. */
#ifndef HELPDESK_KB_STANDING_H
#define HELPDESK_KB_STANDING_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"

struct kb_found {          /* borrowed until `done` */
    const char *source_id; /* of kb_hit */
    const char *excerpt;   /* the passage's text, or a part of it */
    bool answer;           /* to a past ticket, not a passage */
};

/* `stands[i]` tells of found[i], at `revision` of the base; both NULL and 0 with `err`. Loop thread, never
 * inside the call. */
typedef void kb_stood(void *arg, const bool *stands, int64_t revision, const struct error *err);

/* The arena lives until `done`. */
void kb_standing(struct db *db, struct arena *arena, const char *tenant, const struct kb_found *found,
    size_t count, kb_stood *done, void *arg);

#endif
