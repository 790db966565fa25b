/* Voices as they were read; inside model/voice only. */
#ifndef HELPDESK_MODEL_VOICE_TABLE_H
#define HELPDESK_MODEL_VOICE_TABLE_H

#include "model/voice.h"

#define VOICE_SLOT "{name}"
#define VOICE_ANY_LANGUAGE "" /* of a text that is for all of them */

/* What one member says in one language. */
struct words {
    const char *language;
    const char *text;
};

struct words_list {
    struct words *items;
    size_t count;
};

struct voice {
    const char *tenant;
    const char *tone; /* NULL: not said */
    struct words_list greeting;
    struct words_list greeting_without_name;
    struct words_list signature;
};

struct voices {
    struct arena *arena;
    struct voice *list;
    size_t count;
    const char *version;
};

/* What the list says in exactly this language, or NULL. */
const char *voice_words(const struct words_list *list, const char *language);

#endif
