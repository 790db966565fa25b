/* Words that are off brand, and content that is unsafe. */
#include "guard/tone.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

#define EXTRA_MAX 200
#define EXTRA_WORDS 6
#define EXTRA_BYTES 8000

static const struct phrase_rule off_brand_rules[] = {
    {"brand.blame", "your own? fault|mistake", 1},
    {"brand.blame", "you should|could have ~1 known|read|checked", 1},
    {"brand.blame", "as i|we already said|told|explained|mentioned", 1},
    {"brand.blame", "calm down", 1},
    {"brand.blame", "read the manual|documentation|instructions properly|yourself|first", 1},
    {"brand.blame", "that|this is|s not our problem|job|fault", 1},
    {"brand.blame", "not my|our problem", 1},
    {"brand.blame", "obviously you", 1},
    {"brand.blame", "selbst|selber schuld", 1},
    {"brand.blame", "ihr eigener|eigenes fehler|problem|verschulden", 1},
    {"brand.blame", "beruhigen sie sich", 1},
    {"brand.blame", "nicht unser|mein problem", 1},
    {"brand.blame", "wie bereits|schon gesagt|erklart|erwahnt", 1},
    {"brand.blame", "hatten sie ~3 gelesen|wissen mussen", 1},
    {"brand.slang", "lol|lmao|rofl|wtf|omg|bro|dude|gonna|wanna|kinda|whatever|meh|duh", 1},
    {"brand.slang", "sucks|sucked|crap|crappy|damn|shit*|fuck*|hell|ass|bullshit", 1},
    {"brand.slang", "scheiss*|mist|verdammt*|geil|krass|alter|digga", 1},
    {"brand.slang", "no worries mate", 1},
    {"brand.insult", "stupid|idiot*|dumb|moron*|ignorant|incompetent|ridiculous|pathetic|whining|liar|lazy",
        1},
    {"brand.insult", "dumm|dummkopf|blod*|idiot*|lacherlich|lugner|faul|unfahig", 1},
    {"brand.rival", "our competitor|competitors|rivals", 1},
    {"brand.rival", "better|cheaper ~2 than ~2 competitor|competition", 1},
    {"brand.rival", "unsere konkurrenz|konkurrenten|mitbewerber", 1},
};

static const struct phrase_rule unsafe_rules[] = {
    {"unsafe.secret",
        "send|give|tell|email|reply|provide|share|text us|me|with ~4 "
        "password|passwords|pin|cvv|cvc|passcode|credentials|tan",
        1},
    {"unsafe.secret",
        "send|reply|provide|share|enter|confirm your ~3 password|pin|cvv|cvc|card number|security "
        "code|social security",
        1},
    {"unsafe.secret", "what is your ~1 password|pin|cvv", 1},
    {"unsafe.secret", "send|provide|share your full|complete? credit|debit? card number|details", 1},
    {"unsafe.secret",
        "schicken|senden|nennen|geben|teilen sie uns|mir ~4 passwort|kennwort|pin|cvv|tan|kartennummer", 1},
    {"unsafe.secret", "ihr|ihre ~1 passwort|pin|kartennummer ~4 mitteilen|schicken|senden|nennen", 1},
    {"unsafe.danger", "disable|turn off|deactivate|switch ~1 your ~1 firewall|antivirus|virus", 1},
    {"unsafe.danger", "open|remove ~2 housing|cover|casing ~4 plugged|mains|power|live", 1},
    {"unsafe.danger", "bypass|bridge|remove ~2 fuse|breaker|smoke|earth|ground", 1},
    {"unsafe.danger", "without ~1 turning|switching off ~2 power|electricity|mains", 1},
    {"unsafe.danger", "ignore ~2 smoke|burning|sparks|shock", 1},
    {"unsafe.danger", "deaktivieren|schalten|ausschalten ~2 firewall|virenschutz|virenscanner", 1},
    {"unsafe.danger", "uberbrucken ~2 sicherung", 1},
    {"unsafe.harm", "kill|hurt|harm yourself|himself|herself|themselves|you|him|them", 1},
    {"unsafe.harm", "commit suicide", 1},
    {"unsafe.harm", "bring|bringen dich|sich um", 1},
    {"unsafe.harm", "we will|ll ~1 sue|report|punish|find you", 1},
    {"unsafe.harm", "make|build ~2 bomb|explosive|weapon", 1},
    {"unsafe.harm", "racial|ethnic slur", 1},
    {"unsafe.harm", "wir verklagen|zeigen sie", 1},
};

struct tone {
    struct phrase_table *off_brand;
    struct phrase_table *unsafe;
    struct phrase_table *extra; /* what the setting adds; NULL for nothing */
    struct phrase_rule extra_rules[EXTRA_MAX];
    struct arena *arena;
};

/* One entry of the setting as a pattern: its plain words. */
static const char *extra_pattern(struct arena *arena, const char *text, size_t len)
{
    size_t count;
    struct text_word *words = text_words(arena, arena_strndup(arena, text, len), EXTRA_WORDS, &count);
    const char *pattern = NULL;
    for (size_t i = 0; i < count; i++) {
        pattern = pattern == NULL ? words[i].plain : arena_printf(arena, "%s %s", pattern, words[i].plain);
    }
    return pattern;
}

struct tone *tone_new(const char *off_brand)
{
    struct tone *tone = xcalloc(1, sizeof *tone);
    tone->arena = arena_new(0);
    tone->off_brand = phrase_table_new(off_brand_rules, sizeof off_brand_rules / sizeof off_brand_rules[0]);
    tone->unsafe = phrase_table_new(unsafe_rules, sizeof unsafe_rules / sizeof unsafe_rules[0]);
    size_t count = 0;
    for (const char *p = off_brand; *p != 0 && count < EXTRA_MAX && p - off_brand < EXTRA_BYTES;) {
        size_t len = strcspn(p, ",");
        const char *pattern = extra_pattern(tone->arena, p, len);
        if (pattern != NULL) {
            tone->extra_rules[count++] =
                (struct phrase_rule){.name = "brand.configured", .pattern = pattern, .value = 1};
        }
        p += len + (p[len] == ',');
    }
    tone->extra = count > 0 ? phrase_table_new(tone->extra_rules, count) : NULL;
    return tone;
}

void tone_free(struct tone *tone)
{
    if (tone != NULL) {
        phrase_table_free(tone->off_brand);
        phrase_table_free(tone->unsafe);
        phrase_table_free(tone->extra);
        arena_free(tone->arena);
        free(tone);
    }
}

void tone_find_off_brand(const struct tone *tone, const struct reading *reading, struct span_list *out)
{
    span_add_phrases(out, tone->off_brand, reading, "is not how we speak to customers");
    if (tone->extra != NULL) {
        span_add_phrases(out, tone->extra, reading, "is on the list of words not to use");
    }
}

void tone_find_unsafe(const struct tone *tone, const struct reading *reading, struct span_list *out)
{
    span_add_phrases(out, tone->unsafe, reading, "could harm the reader");
}
