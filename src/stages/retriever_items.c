/* Orders, rules and found texts as context items. */
#include "stages/retriever_items.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/parse.h"
#include "base/utf8.h"
#include "kb/section.h"
#include "model/text.h"

#define NAMED_MAX 40       /* words of a ticket that may be order numbers */
#define NAMED_SCORE 0.95   /* of an order that the ticket names */
#define ABOUT_ORDERS 0.5   /* of the latest order when the ticket is about orders */
#define ORDER_AGEING 0.8   /* each older one: 5 that the ticket is about stay above ORDER_NOT_ABOUT */
#define BOUGHT_SCORE 0.15  /* more when the ticket speaks of what was bought */
#define EXCERPT_BYTES 2400 /* of one item */
#define EXCERPT_LEAST 200  /* a shorter rest of the budget is left unused */
#define OF_ONE_DOCUMENT 3
#define LEAST_SHARE 0.3 /* of the best item's score, for a text to be worth showing */
#define WORDS_MAX 2000

struct call {
    struct arena *arena;
    const struct item_query *query;
    items_loaded *done;
    void *arg;
};

static struct call *call_new(
    struct arena *arena, const struct item_query *query, items_loaded *done, void *arg)
{
    struct call *call = ARENA_NEW(arena, struct call);
    *call = (struct call){.arena = arena, .query = query, .done = done, .arg = arg};
    return call;
}

/* ---- orders ---- */

/* Stems that tell of orders, English and German. */
static bool about_orders(struct arena *arena, const struct item_query *query, struct text_set **said)
{
    static const char *const words[] = {"order", "delivery", "deliver", "parcel", "package", "shipment",
        "shipped", "shipping", "tracking", "invoice", "refund", "return", "purchase", "bought", "bestellung",
        "bestellt", "lieferung", "geliefert", "paket", "sendung", "rechnung", "erstattung", "rücksendung",
        "zurückgeschickt", "gekauft"};
    size_t count;
    struct text_word *found =
        text_words(arena, arena_printf(arena, "%s\n%s", query->subject, query->body), WORDS_MAX, &count);
    *said = text_set_new(arena, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!found[i].stop) {
            text_set_add(*said, found[i].stem);
        }
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *plain = text_plain(arena, utf8_fold(arena, words[i]));
        if (text_set_has(*said, text_stem(arena, plain))) {
            return true;
        }
    }
    return !strcmp(query->category, "shipping");
}

/* Whether the ticket speaks of something in the order. */
static bool speaks_of(struct arena *arena, const struct text_set *said, const char *summary)
{
    size_t count;
    struct text_word *words = text_words(arena, summary, 100, &count);
    for (size_t i = 0; i < count; i++) {
        if (!words[i].stop && !isdigit((unsigned char)words[i].plain[0]) &&
            text_set_has(said, words[i].stem)) {
            return true;
        }
    }
    return false;
}

static void on_orders(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    struct arena *arena = call->arena;
    if (err) {
        call->done(call->arg, NULL, err);
        return;
    }
    struct item_list list = {.count = (size_t)db_rows(result)};
    list.items = arena_array(arena, list.count + 1, sizeof(*list.items));
    struct text_set *said;
    double score = about_orders(arena, call->query, &said) ? ABOUT_ORDERS : ORDER_NOT_ABOUT;
    for (size_t i = 0; i < list.count; i++) {
        int row = (int)i;
        const char *id = db_value(result, row, 0), *summary = db_value(result, row, 5);
        bool named = db_bool(result, row, 6);
        double bought = speaks_of(arena, said, summary) ? BOUGHT_SCORE : 0;
        list.items[i] = (struct msg_context_item){
            .source_id = arena_printf(arena, "order/%s", id),
            .excerpt = arena_printf(arena, "Order %s: %s, %.2f %s, ordered on %s.%s%s", id,
                db_value(result, row, 1), db_number(result, row, 2), db_value(result, row, 3),
                db_value(result, row, 4), *summary ? " " : "", summary),
            .citation_uri = arena_printf(arena, "order://%s", id),
            .score = named ? NAMED_SCORE : score + bought,
            .type = MSG_ITEM_TYPE_ORDER,
            .title = arena_printf(arena, "Order %s", id),
            .locale = "",
            .metadata = "{}",
        };
        score *= named ? 1 : ORDER_AGEING;
    }
    call->done(call->arg, &list, NULL);
}

/* Words with a digit in them, in capitals, as order numbers are compared. */
static const char *named_numbers(struct arena *arena, const struct item_query *query)
{
    const char *text = arena_printf(arena, "%s %s", query->subject, query->body);
    const char *numbers[NAMED_MAX];
    size_t count = 0;
    while (*text && count < NAMED_MAX) {
        size_t len = 0, digits = 0;
        while (isalnum((unsigned char)text[len]) || (len && strchr("-_/", text[len]) && text[len])) {
            digits += isdigit((unsigned char)text[len]) != 0;
            len++;
        }
        size_t used = len;
        while (used && !isalnum((unsigned char)text[used - 1])) {
            used--;
        }
        if (digits && used >= 3 && used <= 64) {
            char *number = arena_strndup(arena, text, used);
            for (char *c = number; *c; c++) {
                *c = (char)toupper((unsigned char)*c);
            }
            numbers[count++] = number;
        }
        text += len ? len : 1;
    }
    return db_text_array(arena, numbers, count);
}

void items_load_orders(
    struct db *db, struct arena *arena, const struct item_query *query, items_loaded *done, void *arg)
{
    struct db_query statement = {
        .sql = "SELECT order_id, status, total, currency, to_char(ordered_at AT TIME ZONE 'UTC', "
               "'YYYY-MM-DD'), summary, "
               "upper(order_id) = ANY ($3::text[]) AS named FROM orders "
               "WHERE tenant = $1 AND customer_external_id = $2 ORDER BY named DESC, ordered_at DESC, "
               "order_id LIMIT 5",
        .param_count = 3,
        .params = {query->tenant, query->customer, named_numbers(arena, query)},
    };
    db_query(db, &statement, on_orders, call_new(arena, query, done, arg));
}

/* ---- the rule ---- */

/* 90 as "1 h 30 min", 2880 as "2 d". */
static const char *duration(struct arena *arena, int64_t minutes)
{
    int64_t days = minutes / 1440, hours = minutes / 60 % 24, rest = minutes % 60;
    const char *text = days ? arena_printf(arena, "%lld d", (long long)days) : "";
    if (hours) {
        text = arena_printf(arena, "%s%s%lld h", text, *text ? " " : "", (long long)hours);
    }
    if (rest || !*text) {
        text = arena_printf(arena, "%s%s%lld min", text, *text ? " " : "", (long long)rest);
    }
    return text;
}

static void on_rule(void *arg, const struct db_result *result, const struct error *err)
{
    struct call *call = arg;
    struct arena *arena = call->arena;
    if (err) {
        call->done(call->arg, NULL, err);
        return;
    }
    struct item_list list = {0};
    if (db_rows(result) == 1) {
        const char *priority = msg_priority_name(call->query->priority);
        const char *tier = db_value(result, 0, 0), *note = db_value(result, 0, 3);
        list.items = ARENA_NEW(arena, struct msg_context_item);
        list.count = 1;
        list.items[0] = (struct msg_context_item){
            .source_id = arena_printf(arena, "rule/sla/%s%s%s", priority, *tier ? "/" : "", tier),
            .excerpt =
                arena_printf(arena, "Priority %s: first response within %s, resolution within %s.%s%s%s",
                    priority, duration(arena, db_int(result, 0, 1)), duration(arena, db_int(result, 0, 2)),
                    db_bool(result, 0, 4) ? " Expedite: enterprise customer." : "", *note ? " " : "", note),
            .citation_uri = arena_printf(arena, "rule://sla/%s", priority),
            .score = call->query->priority_confidence,
            .type = MSG_ITEM_TYPE_RULE,
            .title = "Service level",
            .locale = "en",
            .metadata = "{}",
        };
    }
    call->done(call->arg, &list, NULL);
}

void items_load_rule(
    struct db *db, struct arena *arena, const struct item_query *query, items_loaded *done, void *arg)
{
    struct db_query statement = {
        .sql = "SELECT r.tier, r.response_minutes, r.resolution_minutes, r.note, coalesce(c.tier = "
               "'enterprise', false) "
               "FROM sla_rules r LEFT JOIN customers c ON (c.tenant, c.external_id) = ($1, $2) "
               "WHERE r.tenant = $1 AND r.priority = $3 AND r.tier IN ('', coalesce(c.tier, '')) "
               "ORDER BY r.tier DESC LIMIT 1",
        .param_count = 3,
        .params = {query->tenant, query->customer, msg_priority_name(query->priority)},
    };
    db_query(db, &statement, on_rule, call_new(arena, query, done, arg));
}

/* ---- found texts ---- */

static size_t document_len(const char *source_id)
{
    const char *hash = strrchr(source_id, '#');
    return hash ? (size_t)(hash - source_id) : strlen(source_id);
}

static size_t taken_of_document(const struct item_list *list, const char *source_id)
{
    size_t len = document_len(source_id), taken = 0;
    for (size_t i = 0; i < list->count; i++) {
        taken += document_len(list->items[i].source_id) == len &&
                 !strncmp(list->items[i].source_id, source_id, len);
    }
    return taken;
}

/* Whether `source_id` is the passage behind `before` in the same document. */
static bool is_next(const char *before, const char *source_id)
{
    int64_t number, next;
    size_t len = document_len(before);
    return len == document_len(source_id) && !strncmp(before, source_id, len) && before[len] &&
           source_id[len] && parse_int64(before + len + 1, &number) &&
           parse_int64(source_id + len + 1, &next) && next == number + 1;
}

/* What two passages side by side share is shown in the first of them alone. */
static void share(struct item_list *list)
{
    struct msg_context_item *newest = &list->items[list->count - 1];
    for (size_t i = 0; i + 1 < list->count; i++) {
        struct msg_context_item *item = &list->items[i];
        if (is_next(item->source_id, newest->source_id)) {
            newest->excerpt = section_behind(item->excerpt, newest->excerpt);
        } else if (is_next(newest->source_id, item->source_id)) {
            item->excerpt = section_behind(newest->excerpt, item->excerpt);
        }
    }
}

struct item_list items_from_hits(struct arena *arena, const struct kb_search_result *found)
{
    struct item_list list = {.items = arena_array(arena, found->count + 1, sizeof(*list.items))};
    for (size_t i = 0; i < found->count; i++) {
        const struct kb_hit *hit = &found->hits[i];
        if (hit->score < LEAST_SHARE * found->hits[0].score ||
            taken_of_document(&list, hit->source_id) >= OF_ONE_DOCUMENT) {
            continue;
        }
        list.items[list.count++] = (struct msg_context_item){
            .source_id = hit->source_id,
            .excerpt = hit->text,
            .citation_uri = hit->uri,
            .score = hit->score,
            .type = hit->corpus == KB_CORPUS_KB ? MSG_ITEM_TYPE_KB : MSG_ITEM_TYPE_TICKET,
            .title = hit->title,
            .locale = hit->locale,
            .metadata = hit->metadata,
        };
        share(&list);
    }
    return list;
}

/* ---- all together ---- */

/* The text up to the last sentence that ends within `max` bytes; between characters when the first is longer.
 */
static const char *clip(struct arena *arena, const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max) {
        return text;
    }
    size_t most = utf8_clip(text, max), count, end = 0;
    struct text_sentence *sentences = text_sentences(arena, text, len / 2 + 1, &count);
    for (size_t i = 0; i < count && sentences[i].end <= most; i++) {
        end = sentences[i].end;
    }
    return arena_strndup(arena, text, end ? end : most);
}

static int by_score(const void *a, const void *b)
{
    const struct msg_context_item *x = a, *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return strcmp(x->source_id, y->source_id);
}

struct item_list items_merge(
    struct arena *arena, const struct item_list *lists, size_t list_count, size_t max_bytes)
{
    size_t total = 0;
    for (size_t i = 0; i < list_count; i++) {
        total += lists[i].count;
    }
    struct msg_context_item *all = arena_array(arena, total + 1, sizeof(*all));
    size_t at = 0;
    for (size_t i = 0; i < list_count; i++) {
        for (size_t k = 0; k < lists[i].count; k++) {
            all[at++] = lists[i].items[k];
        }
    }
    if (total > 1) {
        qsort(all, total, sizeof(*all), by_score);
    }
    struct item_list merged = {.items = all};
    size_t left = max_bytes;
    for (size_t i = 0; i < total; i++) {
        struct msg_context_item item = all[i];
        item.excerpt = clip(arena, item.excerpt, left < EXCERPT_BYTES ? left : EXCERPT_BYTES);
        size_t len = strlen(item.excerpt);
        if (len == 0 || (len < EXCERPT_LEAST && len < strlen(all[i].excerpt))) {
            continue;
        }
        left -= len;
        merged.items[merged.count++] = item;
    }
    return merged;
}
