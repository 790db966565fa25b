/* Phrases that promise. */
#include "guard/promise.h"

static const struct phrase_rule rules[] = {
    {"promise.guarantee", "we|i guarantee|promise|assure|vow", 1},
    {"promise.guarantee", "guarantee*|promise* you|that|to", 1},
    {"promise.guarantee", "you have my|our word", 1},
    {"promise.guarantee", "100|hundred percent ~1 sure|certain|guaranteed|safe", 1},
    {"promise.guarantee", "rest assured", 1},
    {"promise.guarantee", "definitely|certainly be|get|receive|work|arrive", 1},
    {"promise.guarantee", "will never|always ~1 happen|work|fail", 1},
    {"promise.guarantee", "this will not|never happen again", 1},
    {"promise.guarantee",
        "wir|ich garantieren|garantiere|versprechen|verspreche|versichern|versichere|zusichern|sichere", 1},
    {"promise.guarantee", "garantieren|versprechen|versichern wir|ihnen", 1},
    {"promise.guarantee", "garantiert ~3 ankommen|funktioniert|erhalten|gelost", 1},
    {"promise.guarantee", "verlassen sie sich darauf", 1},
    {"promise.guarantee", "sie konnen ~1 sicher sein", 1},
    {"promise.guarantee", "wird nie|nicht wieder|mehr vorkommen|passieren", 1},
    {"promise.refund",
        "we|i will|ll|are|am|have ~3 "
        "refund|refunded|refunding|reimburse|reimbursed|reimbursing|credit|credited|compensate|compensated "
        "~1 you|your|the|this",
        1},
    {"promise.refund", "you will|ll ~2 get|receive ~3 refund|refunded|reimbursed|compensated|compensation",
        1},
    {"promise.refund", "you will|ll be refunded|reimbursed|compensated|credited", 1},
    {"promise.refund",
        "your refund|compensation|credit ~2 has|is|was ~2 approved|issued|processed|granted|sent|on", 1},
    {"promise.refund", "refund|credit ~2 has been|is approved|issued|processed|granted", 1},
    {"promise.refund", "i|we|have|ve ~2 approved|issued|granted|processed ~3 refund|credit|compensation", 1},
    {"promise.refund", "you will|ll ~2 get|receive ~2 money back", 1},
    {"promise.refund", "free of charge replacement for you", 1},
    {"promise.refund", "wir erstatten|vergueten|entschadigen|erstatteten ihnen", 1},
    {"promise.refund", "erstatten|vergueten|uberweisen wir ihnen", 1},
    {"promise.refund", "wir werden ~4 erstatten|entschadigen|zuruckzahlen|gutschreiben", 1},
    {"promise.refund", "sie erhalten|bekommen ~2 geld zuruck", 1},
    {"promise.refund", "sie erhalten|bekommen ~3 erstattung|entschadigung|gutschrift", 1},
    {"promise.refund", "ihre erstattung|gutschrift ~2 wurde|ist|wird ~2 genehmigt|veranlasst|bewilligt", 1},
    {"promise.refund", "erstattung|gutschrift ist genehmigt|bewilligt", 1},
    {"promise.time",
        "we|i|colleague|team|specialist|technician|someone will|ll ~5 within|in|by ~3 "
        "minute|minutes|hour|hours|day|days|week|weeks|today|tomorrow|tonight",
        1},
    {"promise.time",
        "will ~2 be|have ~1 fixed|resolved|solved|repaired|answered|done ~2 within|in|by|before ~3 "
        "minute|minutes|hour|hours|day|days|today|tomorrow",
        1},
    {"promise.time",
        "hear|hearing from us|me ~1 within|in|by ~3 minute|minutes|hour|hours|day|days|today|tomorrow", 1},
    {"promise.time",
        "respond|reply|answer|resolve|resolution|response|fix within|in ~3 "
        "minute|minutes|hour|hours|working|business|day|days",
        1},
    {"promise.time", "we ~2 answer|respond|reply ~2 within|in ~3 hour|hours|day|days", 1},
    {"promise.time", "guaranteed ~2 response", 1},
    {"promise.time", "sla|slas", 1},
    {"promise.time", "response|resolution time ~3 hour|hours|day|days|minute|minutes", 1},
    {"promise.time",
        "wir ~4 melden|antworten|losen|beheben|bearbeiten|kummern ~3 innerhalb|binnen|bis ~3 "
        "minuten|stunde|stunden|tag|tagen|werktag|werktagen|heute|morgen",
        1},
    {"promise.time",
        "innerhalb|binnen ~4 stunden|tagen|werktagen|minuten ~4 melden|antworten|gelost|behoben|beantwortet",
        1},
    {"promise.time", "antwort|losung innerhalb|binnen|in ~3 stunden|tagen|minuten|werktagen", 1},
    {"promise.time", "meldet sich ~3 innerhalb|binnen|bis ~3 stunden|tagen|morgen|heute|werktagen", 1},
    {"promise.time", "reaktionszeit|losungszeit|antwortzeit", 1},
};

struct phrase_table *promise_rules_new(void)
{
    return phrase_table_new(rules, sizeof rules / sizeof rules[0]);
}

void promise_find(const struct phrase_table *table, const struct reading *reading, struct span_list *out)
{
    span_add_phrases(out, table, reading, "promises what only a person may promise");
}
