/* Cuts what stands under one heading into passages of a size that is found and quoted well. Each but the
 * first begins with the last sentence of the one before, which may be what it goes on from. */
#ifndef HELPDESK_KB_SECTION_H
#define HELPDESK_KB_SECTION_H

#include <stddef.h>
#include "base/arena.h"
#include "kb/cut.h"

#define SECTION_STANDS_ALONE 40 /* tokens from which a text is worth a passage of its own */

struct section_block {
    enum kb_block kind;
    const char *text; /* valid UTF-8, not blank; borrowed */
    size_t tokens;
};

/* About how many tokens a language model makes of `len` bytes of UTF-8: four of three English words, one of a
 * Chinese character. */
size_t section_tokens(const char *text, size_t len);

/* The texts of the passages, in the arena; blocks are apart by an empty line. Any thread. */
const char **section_cut(
    struct arena *arena, const struct section_block *blocks, size_t block_count, size_t *count);

/* `text` without what it carries over from the passage `before` it; points into it. Pure. */
const char *section_behind(const char *before, const char *text);

#endif
