/* Patterns of keys: all positions in the pattern that the key so far may have led to, so no backtracking. */
#include "blob/glob.h"

#include <string.h>

struct glob {
    const char *pattern;
    size_t len;
};

/* Marks position `at`, and those that are reached from it without a character. */
static void mark(const struct glob *glob, bool *set, size_t at)
{
    const char *p = glob->pattern;
    while (!set[at]) {
        set[at] = true;
        if (p[at] != '*') {
            return;
        }
        bool deep = p[at + 1] == '*';
        if (deep && p[at + 2] == '/' && (at == 0 || p[at - 1] == '/')) {
            mark(glob, set, at + 3);
        }
        at += deep ? 2 : 1;
    }
}

static void step(const struct glob *glob, const bool *from, bool *to, char c)
{
    const char *p = glob->pattern;
    bool inside = ((unsigned char)c & 0xc0) == 0x80; /* a character of several bytes goes on */
    for (size_t at = 0; at <= glob->len; at++) {
        if (!from[at]) {
            continue;
        }
        if (inside && at > 0 && p[at - 1] == '?') {
            mark(glob, to, at);
        }
        if (p[at] == '*') {
            if (c != '/' || p[at + 1] == '*') {
                mark(glob, to, at);
            }
        } else if (p[at] && (p[at] == c || (p[at] == '?' && c != '/' && !inside))) {
            mark(glob, to, at + 1);
        }
    }
}

bool glob_match(const char *pattern, const char *key)
{
    struct glob glob = {.pattern = pattern, .len = strlen(pattern)};
    bool sets[2][GLOB_MAX + 1] = {{false}};
    if (glob.len > GLOB_MAX) {
        return false;
    }
    mark(&glob, sets[0], 0);
    size_t now = 0;
    for (; *key; key++, now = 1 - now) {
        memset(sets[1 - now], 0, sizeof(sets[0]));
        step(&glob, sets[now], sets[1 - now], *key);
    }
    return sets[now][glob.len];
}
