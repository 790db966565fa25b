/* Sentiment by a lexicon with negation and emphasis; priority by phrases. */
#include "model/mood.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "model/phrase.h"

#define MAX_HITS 64
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Values from -4 (worst) to 4. Words that only name the trouble ("error", "broken") are mild: they are the
 * ticket's subject, not the customer's mood. */
static const struct phrase_rule feelings[] = {
    {"", "unacceptable|inakzeptabel|unakzeptabel", -3.5},
    {"", "outrage*", -3.5},
    {"", "furious|wutend", -3.8},
    {"", "angry|sauer|verargert", -3},
    {"", "annoy*|arger*|argere*", -2.2},
    {"", "frustrat*|frustrier*", -2.6},
    {"", "terrible|horrible|awful|schrecklich*|furchtbar*|grauenhaft*", -3},
    {"", "worst|schlechtest*|schlimmst*", -3.2},
    {"", "disgust*|widerlich", -3.4},
    {"", "ridiculous|lacherlich*", -2.6},
    {"", "schlechter witz|scherz", -2.6},
    {"", "disappoint*|enttausch*", -2.5},
    {"", "useless|nutzlos*|unbrauchbar*|worthless|wertlos*", -2.6},
    {"", "hate|hasse", -3},
    {"", "a joke", -2},
    {"", "scam*|betrug*|abzocke|fraud*", -2.6},
    {"", "rip off", -3},
    {"", "lawyer|anwalt*|lawsuit", -2.6},
    {"", "legal action", -2.6},
    {"", "sue you", -3},
    {"", "never again", -2.8},
    {"", "nie wieder", -2.8},
    {"", "fed up", -3},
    {"", "sick|tired of", -2.6},
    {"", "satt", -1.6},
    {"", "nase voll", -3},
    {"", "reicht es mir", -2.8},
    {"", "unhappy|unzufrieden*|dissatisfied", -2.4},
    {"", "bad|schlecht*", -1.6},
    {"", "poor", -1.4},
    {"", "incompeten*|inkompeten*|unfahig*", -3},
    {"", "unprofessional*|unprofessionell*", -2.6},
    {"", "rude|unverschamt*|frechheit", -3},
    {"", "waste of", -2.4},
    {"", "zeitverschwendung", -2.4},
    {"", "nightmare|albtraum", -3},
    {"", "complain*|beschwer*|reklamier*", -1.6},
    {"", "still no|not|waiting", -1.6},
    {"", "immer noch kein*|nicht", -1.6},
    {"", "warte immer|seit", -1.4},
    {"", "ignored|ignoriert", -1.8},
    {"", "third|fourth|fifth time", -1.8},
    {"", "zum dritten|vierten|wiederholten mal", -1.8},
    {"", "again and again", -1.8},
    {"", "schon wieder", -1.5},
    {"", "unfortunately|leider", -0.7},
    {"", "upset|verstimmt", -2.2},
    {"", "worried|besorgt", -1.2},
    {"", "losing|lost ~2 customers|money|revenue", -0.8},
    {"", "broken|kaputt*", -0.7},
    {"", "damn|crap|shit|fuck*|scheiss*|verdammt*", -3},
    {"", "shame on", -3.2},
    {"", "eine schande", -3},
    {"", "unbelievable|unglaublich*", -1.6},
    {"", "disaster|katastroph*", -3},
    {"", "stupid|dumm*|idiot*", -2.6},
    {"", "pathetic|erbarmlich*", -3.2},
    {"", "unusable", -2},
    {"", "no one|nobody|niemand ~2 answer*|repl*|respond*|help*|antwort*|hilft|reagiert|meldet", -1.8},
    {"", "demand|verlange|fordere", -1.2},
    {"", "thank*|danke*", 0.6},
    {"", "great|toll*", 2.4},
    {"", "good|gut*", 1.1},
    {"", "excellent|hervorragend*|ausgezeichnet*|exzellent*", 3.2},
    {"", "awesome|amazing|fantastic|fantastisch*|genial*", 3.2},
    {"", "love|lieben", 2.8},
    {"", "wonderful|wunderbar*|superb|super", 2.8},
    {"", "perfect|perfekt*", 2.6},
    {"", "happy|glucklich*|zufrieden*|pleased", 2.3},
    {"", "freue mich", 1.5},
    {"", "impressed|beeindruck*|begeister*", 2.8},
    {"", "helpful|hilfreich*", 2},
    {"", "appreciate*|schatze", 0.8},
    {"", "nice|nett*", 0.9},
    {"", "recommend*|weiterempfehl*", 1.6},
    {"", "enjoy*", 2},
    {"", "kudos|compliment*|kompliment*", 2.4},
    {"", "well done", 2.8},
    {"", "gut gemacht", 2.8},
    {"", "weiter so", 2.4},
    {"", "keep it up", 2.6},
    {"", "glad|froh", 1.6},
    {"", "delighted", 3},
    {"", "thank* ~4 great|quick|fast|help*|excellent|awesome", 1.5},
    {"", "danke* ~4 schnelle*|hilfe|tolle*|super", 1.5},
};

static const char *const negations[] = {"not", "no", "never", "without", "hardly", "cannot", "isn", "wasn",
    "don", "doesn", "didn", "won", "can", "couldn", "aren", "nicht", "kein", "keine", "keinen", "keiner",
    "nie", "niemals", "ohne", "kaum"};
static const char *const emphasis[] = {"very", "really", "extremely", "absolutely", "totally", "completely",
    "so", "such", "highly", "utterly", "sehr", "wirklich", "extrem", "absolut", "total", "vollig", "so",
    "richtig", "echt", "ausserst"};

/* `name` is the priority; the value is how sure the phrase makes us. */
static const struct phrase_rule urgencies[] = {

    {"critical",
        "production|prod|system|site|website|shop|service|everything|platform is|are|went|going|gone|has ~2 "
        "down|offline",
        0.92},
    {"critical",
        "system|website|webseite|shop|alles|plattform|dienst ist|sind ~3 ausgefallen|offline|down|tot", 0.9},
    {"critical", "down for everyone|all", 0.92},
    {"critical", "completely down", 0.92},
    {"critical", "complete|total|full|major outage", 0.93},
    {"critical", "outage|totalausfall|komplettausfall|systemausfall", 0.85},
    {"critical", "data|security breach", 0.95},
    {"critical", "datenleck|datenpanne|sicherheitsvorfall|sicherheitslucke", 0.93},
    {"critical", "datenverlust", 0.85},
    {"critical", "data loss", 0.85},
    {"critical", "lost|losing|lose all ~3 data|files|records", 0.9},
    {"critical", "daten|dateien ~3 verloren|verschwunden|weg|geloscht", 0.85},
    {"critical", "account ~3 hacked|compromised", 0.93},
    {"critical", "hacked|gehackt|ransomware", 0.9},
    {"critical", "unauthori* access|transaction*|purchase*|login*|charge*", 0.88},
    {"critical", "unbefugt* zugriff*|zugang", 0.9},
    {"critical", "cannot process ~1 orders|payments", 0.88},
    {"critical", "can t process ~1 orders|payments", 0.88},
    {"critical",
        "all|every of? our? users|customers|employees|stores|staff ~2 cannot|can|unable|affected|locked",
        0.88},
    {"critical", "alle unsere? kunden|mitarbeiter|nutzer ~4 nicht", 0.85},
    {"critical", "safety risk|hazard", 0.9},
    {"critical", "smoke|fire|burning|sparks|rauch|brennt|funken", 0.85},
    {"critical", "exposed ~3 data|passwords|keys", 0.9},
    {"critical", "losing ~4 money|revenue|orders|sales|customers", 0.8},
    {"critical", "production outage|incident", 0.94},
    {"critical", "produktion|betrieb steht still?", 0.85},
    {"high", "urgent*|dringend*|dringlich*|eilig|eilt", 0.85},
    {"high", "asap|schnellstmoglich|umgehend", 0.85},
    {"high", "as soon as possible", 0.8},
    {"high", "so schnell|bald wie moglich", 0.8},
    {"high", "immediate*|sofort*|unverzuglich", 0.75},
    {"high", "emergency|notfall", 0.85},
    {"high", "right now|away", 0.75},
    {"high", "deadline|frist", 0.7},
    {"high", "by|before|until|bis tomorrow|today|tonight|morgen|heute|monday|friday|montag|freitag", 0.75},
    {"high", "locked out", 0.75},
    {"high", "ausgesperrt", 0.75},
    {"high", "legal action", 0.8},
    {"high", "lawyer|lawsuit|anwalt*|rechtsanwalt*", 0.8},
    {"high", "chargeback|fraud*|betrug*", 0.75},
    {"high", "charged|billed ~2 twice", 0.65},
    {"high", "doppelt|zweimal abgebucht|berechnet", 0.65},
    {"high", "cannot|unable ~1 work|continue", 0.6},
    {"high", "can t work|continue", 0.6},
    {"high", "blocking|blocker|blocked|showstopper|blockiert", 0.7},
    {"high", "third|fourth|fifth time", 0.7},
    {"high", "cancel|terminate our|my contract|account", 0.6},
    {"high", "vertrag|konto kundigen", 0.6},
    {"high", "privacy violation", 0.65},
    {"high", "gdpr|dsgvo", 0.65},
    {"low", "no rush|hurry|urgency", 0.85},
    {"low", "not urgent", 0.9},
    {"low", "nicht dringend|eilig", 0.9},
    {"low", "eilt nicht", 0.9},
    {"low", "whenever you", 0.85},
    {"low", "when you have time|a", 0.85},
    {"low", "wenn sie|ihr zeit", 0.85},
    {"low", "keine eile", 0.85},
    {"low", "feature request|suggestion|idea", 0.8},
    {"low", "suggestion|verbesserungsvorschlag|anregung|funktionswunsch", 0.75},
    {"low", "just|simply wondering|curious|asking", 0.75},
    {"low", "out of curiosity", 0.8},
    {"low", "nur eine? frage", 0.7},
    {"low", "would be nice|cool|great", 0.7},
    {"low", "ware schon|toll|nett", 0.7},
    {"low", "typo|tippfehler|schreibfehler", 0.75},
    {"low", "general question|inquiry|enquiry", 0.7},
    {"low", "cosmetic|minor", 0.7},
    {"low", "low priority", 0.85},
};

struct mood {
    struct phrase_table *feelings;
    struct phrase_table *urgencies;
};

struct mood *mood_new(void)
{
    struct mood *mood = xcalloc(1, sizeof *mood);
    mood->feelings = phrase_table_new(feelings, COUNT(feelings));
    mood->urgencies = phrase_table_new(urgencies, COUNT(urgencies));
    return mood;
}

void mood_free(struct mood *mood)
{
    if (mood != NULL) {
        phrase_table_free(mood->feelings);
        phrase_table_free(mood->urgencies);
        free(mood);
    }
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether one of the three words before `first` turns the meaning; "can" only when "t" follows it. */
static bool is_negated(const struct text_word *words, size_t first)
{
    for (size_t i = first > 3 ? first - 3 : 0; i < first; i++) {
        if (is_one_of(words[i].plain, negations, COUNT(negations)) &&
            (strcmp(words[i].plain, "can") != 0 || strcmp(words[i + 1].plain, "t") == 0) &&
            (strcmp(words[i].plain, "won") != 0 || strcmp(words[i + 1].plain, "t") == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_shouted(const char *text, const struct text_word *word)
{
    size_t upper = 0;
    for (size_t i = word->start; i < word->end; i++) {
        upper += text[i] >= 'A' && text[i] <= 'Z';
    }
    return upper >= 3 && upper == word->end - word->start;
}

static char *quote(
    struct arena *arena, const char *text, const struct text_word *words, const struct phrase_hit *hit)
{
    size_t start = words[hit->first].start;
    size_t len = words[hit->last].end - start;
    return arena_strndup(arena, text + start, len > 40 ? utf8_clip(text + start, 40) : len);
}

/* A feeling's value where it stands: emphasis and capitals make it stronger, a negation turns it. "Not good"
 * is bad, but "not bad" is only a little good. */
static double feeling_value(const char *text, const struct text_word *words, const struct phrase_hit *hit)
{
    double value = hit->rule->value;
    if (hit->first > 0 && is_one_of(words[hit->first - 1].plain, emphasis, COUNT(emphasis))) {
        value *= 1.3;
    }
    if (is_shouted(text, &words[hit->first])) {
        value *= 1.3;
    }
    if (is_negated(words, hit->first)) {
        value *= value > 0 ? -0.9 : -0.4;
    }
    return value;
}

/* "!!" and more, counted up to four times. */
static size_t exclamations(const char *text)
{
    size_t marks = 0;
    for (const char *p = text; *p != 0 && marks < 4; p++) {
        marks += p[0] == '!' && p[1] == '!';
    }
    return marks;
}

static enum msg_sentiment sentiment_of(double valence)
{
    if (valence <= -0.35) {
        return MSG_SENTIMENT_NEGATIVE;
    }
    return valence >= 0.4 ? MSG_SENTIMENT_POSITIVE : MSG_SENTIMENT_NEUTRAL;
}

static void judge_sentiment(const struct mood *mood, struct arena *arena, const char *text,
    const struct text_word *words, size_t count, struct mood_verdict *out)
{
    size_t hits;
    struct phrase_hit *found = phrase_find(mood->feelings, arena, words, count, MAX_HITS, &hits);
    double values[MAX_HITS], sum = 0;
    for (size_t i = 0; i < hits; i++) {
        values[i] = feeling_value(text, words, &found[i]);
        sum += values[i];
    }
    sum -= sum < 0 ? 0.4 * (double)exclamations(text) : 0;
    out->valence = sum / sqrt(sum * sum + 15); /* VADER's normalisation: Hutto and Gilbert 2014 */
    out->sentiment = sentiment_of(out->valence);
    for (size_t i = 0; i < hits && out->sentiment_evidence_count < MOOD_EVIDENCE; i++) {
        if (out->sentiment != MSG_SENTIMENT_NEUTRAL && values[i] * sum > 0 && fabs(values[i]) >= 1) {
            out->sentiment_evidence[out->sentiment_evidence_count++] = quote(arena, text, words, &found[i]);
        }
    }
}

static void judge_priority(const struct mood *mood, struct arena *arena, const char *text,
    const struct text_word *words, size_t count, struct mood_verdict *out)
{
    size_t hits;
    struct phrase_hit *found = phrase_find(mood->urgencies, arena, words, count, MAX_HITS, &hits);
    double miss[MSG_PRIORITY_COUNT] = {1, 1, 1, 1}; /* chance that none of the phrases for it means it */
    for (size_t i = 0; i < hits; i++) {
        enum msg_priority priority;
        bool denied = is_negated(words, found[i].first);
        if (!msg_priority_parse(found[i].rule->name, &priority) || (denied && priority != MSG_PRIORITY_LOW)) {
            continue;
        }
        miss[priority] *= 1 - found[i].rule->value;
        if (out->priority_evidence_count < MOOD_EVIDENCE) {
            out->priority_evidence[out->priority_evidence_count++] = quote(arena, text, words, &found[i]);
        }
    }
    miss[MSG_PRIORITY_HIGH] *= out->valence < -0.7 ? 0.45 : out->valence < -0.5 ? 0.7 : 1;
    out->priority = MSG_PRIORITY_MEDIUM;
    out->priority_confidence = 0.5;
    if (miss[MSG_PRIORITY_CRITICAL] <= 0.2) {
        out->priority = MSG_PRIORITY_CRITICAL;
    } else if (miss[MSG_PRIORITY_HIGH] <= 0.45 && miss[MSG_PRIORITY_HIGH] < miss[MSG_PRIORITY_LOW]) {
        out->priority = MSG_PRIORITY_HIGH;
    } else if (miss[MSG_PRIORITY_LOW] <= 0.35) {
        out->priority = MSG_PRIORITY_LOW;
    }
    if (out->priority == MSG_PRIORITY_MEDIUM) {
        out->priority_evidence_count = 0;
    } else {
        double sure = 1 - miss[out->priority];
        out->priority_confidence = sure > 0.97 ? 0.97 : sure;
    }
}

void mood_judge(const struct mood *mood, struct arena *arena, const char *text, const struct text_word *words,
    size_t count, struct mood_verdict *out)
{
    *out = (struct mood_verdict){0};
    judge_sentiment(mood, arena, text, words, count, out);
    judge_priority(mood, arena, text, words, count, out);
}
