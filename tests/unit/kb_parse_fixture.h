/* Documents parsed in the test's own process. Included once by each test program. */
#ifndef HELPDESK_TESTS_KB_PARSE_FIXTURE_H
#define HELPDESK_TESTS_KB_PARSE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "kb/document.h"

static struct arena *arena;
static struct kb_document document;
static struct error error;

static bool parse(const char *key, const char *text)
{
    error = (struct error){0};
    return kb_parse(arena, key, "", text, strlen(text), &document, &error);
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new(KB_PARSE_ARENA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* Sixty words, so that a section stands alone. */
#define WORDS                                                                                                \
    "one two three four five six seven eight nine ten one two three four five six seven eight nine ten one " \
    "two three "                                                                                             \
    "four five six seven eight nine ten one two three four five six seven eight nine ten one two three "     \
    "four five six "                                                                                         \
    "seven eight nine ten one two three four five six seven eight nine ten."

#endif
