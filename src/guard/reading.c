/* Cuts a text into its words. */
#include "guard/reading.h"

struct reading reading_of(struct arena *arena, const char *text)
{
    struct reading reading = {.text = text};
    reading.words = text_words(arena, text, READING_MAX_WORDS, &reading.count);
    return reading;
}
