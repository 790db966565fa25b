/* The fixed sentences of a drafted answer, in the languages we write: courteous words around what is quoted,
 * and the greeting and the signature around any draft. */
#ifndef HELPDESK_MODEL_PHRASES_H
#define HELPDESK_MODEL_PHRASES_H

#include "base/arena.h"

struct phrases {
    const char *language;  /* "en" */
    const char *thanks;    /* for the message */
    const char *sorry;     /* to somebody upset */
    const char *from_base; /* before quoted help pages */
    const char *from_case; /* before a similar case's answer */
    const char *order;     /* before an order's facts */
    const char *more;      /* what to do when it does not help */
    const char *handover;  /* no answer was found: a person takes over */
    const char *rest;      /* nothing else is to be done for now */
    const char *ask;       /* details that help the person who takes over */
};

/* What stands around an answer. */
struct phrases_frame {
    const char *language;
    const char *greeting; /* with {name} where the customer's stands */
    const char *greeting_without_name;
    const char *signature;
};

/* Of the language of BCP 47 tag `locale`; NULL when we have none. There is one for English, and for every
 * language of struct phrases. */
const struct phrases_frame *phrases_frame_for(const char *locale);

/* Of the language of BCP 47 tag `locale`, or English. Never NULL. */
const struct phrases *phrases_for(const char *locale);

/* `text` without marks of citations ("[1]" after a blank or a stop; in "items[0]" it is no mark); in the
 * arena. */
char *phrases_unmark(struct arena *arena, const char *text);

/* `text` without a greeting at its start, and a closing and a signature at its end, of any of our languages;
 * in the arena. For what a model wrote that was told to leave them out. */
char *phrases_unframe(struct arena *arena, const char *text);

/* What an answer says of the matter, in the arena: without marks, our fixed sentences, what our drafts tell
 * of one customer's order, a greeting at its start, a closing and a signature at its end. Of a draft of ours
 * only the quotes are left; "" when nothing is. In English and German; `text` is valid UTF-8. */
char *phrases_body(struct arena *arena, const char *text);

#endif
