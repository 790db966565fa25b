/* Prompts: texts in sections with named slots, compiled in from src/model/prompts. */
#ifndef HELPDESK_MODEL_PROMPT_H
#define HELPDESK_MODEL_PROMPT_H

#include "base/arena.h"
#include "base/ids.h"

extern const char prompt_draft[];    /* src/model/prompts/draft.txt */
extern const char prompt_classify[]; /* src/model/prompts/classify.txt */

struct prompt_slot {
    const char *name;
    const char *value;
};

/* Which wording it is: "draft/<UUIDv5 of the text>". */
#define PROMPT_VERSION_SIZE (UUID_TEXT_SIZE + 32)
void prompt_version(const char *name, const char *text, char out[PROMPT_VERSION_SIZE]);

/* Section `section` of `text` (between the line "=== section ===" and the next such line), each {{name}}
 * replaced by that slot's value. What a value holds is never looked at: "{{" in it stays. In the arena.
 * Asserts that the section is there and that every slot of it has a value. */
char *prompt_render(struct arena *arena, const char *text, const char *section,
    const struct prompt_slot *slots, size_t count);

#endif
