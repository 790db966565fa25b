/* Tenants' voices: the tone that drafts are asked for, and the greeting and the signature around them.
 *
 * A JSON file: {"voices": {"*": VOICE, "TENANT": VOICE, ...}}, and "note" for people. A VOICE has, each as it
 * likes: "tone" (a text for the model), "greeting" ({name} in it is the customer's), "greeting_without_name"
 * (when that is not known) and "signature". The latter three are a text for every language, or an object by
 * BCP 47 tag: {"en": "Dear {name},", "de": "Guten Tag {name},"}. What a tenant does not have, "*" gives; what
 * that has not, model/phrases.h. */
#ifndef HELPDESK_MODEL_VOICE_H
#define HELPDESK_MODEL_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"

#define VOICE_MAX_FILE (1024 * 1024)
#define VOICE_MAX_TONE 1000 /* bytes of one text each */
#define VOICE_MAX_GREETING 200
#define VOICE_MAX_SIGNATURE 2000
#define VOICE_MAX_NAME 80

struct voices; /* read-only once made; any thread */

/* Reads the JSON text, or the file at `path` ("": nobody has a voice of their own). NULL: ERROR_FATAL
 * "voices_invalid" or "voices_unreadable"; the text names the member and what would be right. */
struct voices *voices_parse(const char *json, size_t len, struct error *err);
struct voices *voices_load(const char *path, struct error *err);
void voices_free(struct voices *voices); /* NULL is fine */

/* Which file it is: "voices/<UUIDv5 of the text>"; "" without one. Borrowed. */
const char *voices_version(const struct voices *voices);

/* How drafts for `tenant` should sound, NULL when nobody said. Borrowed. */
const char *voices_tone(const struct voices *voices, const char *tenant);

/* What stands around a draft. */
struct voice_frame {
    const char *greeting; /* in the arena */
    const char *signature;
    bool foreign; /* nothing is there in this language: the words are English */
};

/* For a draft written in `locale` (BCP 47) to the customer called `name` (NULL: not known). */
struct voice_frame voices_frame(struct arena *arena, const struct voices *voices, const char *tenant,
    const char *locale, const char *name);

/* Whether a customer's name may stand in a greeting: letters, blanks, hyphens, apostrophes and full stops,
 * at most VOICE_MAX_NAME bytes. */
bool voice_name_fits(const char *name);

/* `text` without a greeting of the tenant's at its start, whatever name is in it, and a signature at its end;
 * in the arena. */
char *voices_unframe(struct arena *arena, const struct voices *voices, const char *tenant, const char *text);

#endif
