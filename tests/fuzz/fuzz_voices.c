/* Fuzz target: any bytes as a voices file, and a refusal always says why. What is taken speaks for every
 * tenant and language, and its frame comes off again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/voice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frame(const struct voices *voices, const char *tenant, const char *locale, const char *name)
{
    struct arena *arena = arena_new(0);
    const struct voice_frame frame = voices_frame(arena, voices, tenant, locale, name);
    if (utf8_blank(frame.greeting) || utf8_blank(frame.signature) ||
        strstr(frame.greeting, "{name}") != NULL ||
        strlen(frame.greeting) > VOICE_MAX_GREETING + VOICE_MAX_NAME ||
        strlen(frame.signature) > VOICE_MAX_SIGNATURE) {
        abort();
    }
    const char *text = arena_printf(arena, "%s\n\nPress reset.\n\n%s\n", frame.greeting, frame.signature);
    if (strlen(voices_unframe(arena, voices, tenant, text)) > strlen(text)) {
        abort();
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct voices *voices = voices_parse((const char *)data, size, &err);
    if (voices == NULL) {
        if (strcmp(err.code, "voices_invalid") != 0 || err.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    const char *tone = voices_tone(voices, "acme");
    if (tone != NULL && (utf8_blank(tone) || strlen(tone) > VOICE_MAX_TONE)) {
        abort();
    }
    static const char *const locales[] = {"en", "de-AT", "fr", "ja"};
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        frame(voices, "acme", locales[i], "Anna");
        frame(voices, "nobody", locales[i], NULL);
    }
    voices_free(voices);
    return 0;
}
