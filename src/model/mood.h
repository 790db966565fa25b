/* What a ticket's words say of the customer's mood and of how urgent it is: lexicons and rules, English and
 * German. */
#ifndef HELPDESK_MODEL_MOOD_H
#define HELPDESK_MODEL_MOOD_H

#include "base/arena.h"
#include "model/text.h"
#include "msg/codec.h"

#define MOOD_EVIDENCE 3

/* `text` is what `words` were made from; evidence words are in the arena. */
struct mood_verdict {
    enum msg_sentiment sentiment;
    double valence; /* -1..1 */
    enum msg_priority priority;
    double priority_confidence; /* 0..1 */
    const char *sentiment_evidence[MOOD_EVIDENCE];
    size_t sentiment_evidence_count;
    const char *priority_evidence[MOOD_EVIDENCE];
    size_t priority_evidence_count;
};

/* The compiled rules; read-only once made. */
struct mood;
struct mood *mood_new(void);
void mood_free(struct mood *mood);
void mood_judge(const struct mood *mood, struct arena *arena, const char *text, const struct text_word *words,
    size_t count, struct mood_verdict *out);

#endif
