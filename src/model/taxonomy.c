/* Reads and checks the taxonomy file. */
#include "model/taxonomy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/text.h"

#define NAME_MAX_BYTES 64

/* Where in the file we are, for messages. */
struct reader {
    struct taxonomy *taxonomy;
    struct error *err;
    size_t keywords;
    char where[200];
};

static bool reader_fail(struct reader *reader, const char *what)
{
    return error_set(reader->err, ERROR_FATAL, "taxonomy_invalid", "taxonomy: %s: %s", reader->where, what);
}

bool taxonomy_word_matches(const struct taxonomy_word *word, const char *plain, const char *stem)
{
    if (!word->open_start && !word->open_end) {
        return strcmp(word->text, stem) == 0;
    }
    size_t len = strlen(word->text), have = strlen(plain);
    if (have < len) {
        return false;
    }
    if (word->open_start && word->open_end) {
        return strstr(plain, word->text) != NULL;
    }
    return memcmp(word->open_end ? plain : plain + have - len, word->text, len) == 0;
}

/* "*" belongs to the word that it touches. */
static bool keyword_compile(struct reader *reader, struct taxonomy_keyword *keyword)
{
    struct arena *arena = reader->taxonomy->arena;
    const char *text = keyword->text;
    size_t count;
    struct text_word *words = text_words(arena, text, TAXONOMY_KEYWORD_WORDS + 1, &count);
    if (count == 0 || count > TAXONOMY_KEYWORD_WORDS) {
        return reader_fail(reader, "a keyword is one to six words");
    }
    size_t stars = 0, used = 0;
    for (const char *p = text; *p != 0; p++) {
        stars += *p == '*';
    }
    for (size_t i = 0; i < count; i++) {
        struct taxonomy_word *word = &keyword->words[i];
        word->open_start = words[i].start > 0 && text[words[i].start - 1] == '*';
        word->open_end = text[words[i].end] == '*';
        used += (size_t)word->open_start + word->open_end;
        word->text = word->open_start || word->open_end ? words[i].plain : words[i].stem;
        if ((word->open_start || word->open_end) && strlen(word->text) < 3) {
            return reader_fail(reader, "a word with '*' needs at least three letters");
        }
    }
    keyword->word_count = count;
    return used == stars || reader_fail(reader, "'*' must touch a word at its start or end, each its own");
}

static const char *read_name(struct reader *reader, const cJSON *object, const char *member, size_t max)
{
    const char *text = json_str(object, member);
    if (text == NULL || utf8_blank(text) || strlen(text) > max) {
        size_t len = strlen(reader->where);
        snprintf(reader->where + len, sizeof reader->where - len, "%s%s", len == 0 ? "" : ".", member);
        reader_fail(reader, "must be a text that is not blank and not too long");
        return NULL;
    }
    return arena_strdup(reader->taxonomy->arena, text);
}

static bool read_keyword(struct reader *reader, const cJSON *entry, struct taxonomy_keyword *keyword)
{
    if (!cJSON_IsNumber(entry) || !(entry->valuedouble > 0) || entry->valuedouble > 10) {
        return reader_fail(reader, "the weight must be a number above 0 and at most 10");
    }
    if (++reader->keywords > TAXONOMY_MAX_KEYWORDS) {
        return reader_fail(reader, "too many keywords");
    }
    keyword->text = arena_strdup(reader->taxonomy->arena, entry->string);
    keyword->weight = entry->valuedouble;
    return keyword_compile(reader, keyword);
}

/* {"en": {"invoice": 3, ...}, "de": {...}} */
static bool read_keywords(struct reader *reader, const cJSON *languages, struct taxonomy_category *category)
{
    const cJSON *language, *entry;
    size_t total = 0;
    char prefix[sizeof reader->where];
    snprintf(prefix, sizeof prefix, "%s", reader->where);
    cJSON_ArrayForEach(language, languages)
    {
        snprintf(reader->where, sizeof reader->where, "%.80s.keywords.%.40s", prefix, language->string);
        if (!cJSON_IsObject(language)) {
            return reader_fail(reader, "must be an object of keywords and weights");
        }
        total += (size_t)cJSON_GetArraySize(language);
    }
    category->keywords = arena_array(reader->taxonomy->arena, total, sizeof *category->keywords);
    cJSON_ArrayForEach(language, languages)
    {
        cJSON_ArrayForEach(entry, language)
        {
            snprintf(reader->where, sizeof reader->where, "%.80s.keywords.%.20s[\"%.60s\"]", prefix,
                language->string, entry->string);
            if (!read_keyword(reader, entry, &category->keywords[category->keyword_count])) {
                return false;
            }
            category->keyword_count++;
        }
    }
    return true;
}

static int by_weight(const void *a, const void *b)
{
    const struct taxonomy_keyword *left = a, *right = b;
    if (left->weight != right->weight) {
        return left->weight < right->weight ? 1 : -1;
    }
    if (left->word_count != right->word_count) {
        return left->word_count < right->word_count ? 1 : -1;
    }
    return strcmp(left->text, right->text);
}

static bool read_category(struct reader *reader, const cJSON *entry, struct taxonomy_category *category)
{
    char prefix[sizeof reader->where];
    snprintf(prefix, sizeof prefix, "%s", reader->where);
    category->name = read_name(reader, entry, "category", NAME_MAX_BYTES);
    category->department = category->name ? read_name(reader, entry, "department", NAME_MAX_BYTES) : NULL;
    category->description = category->department ? read_name(reader, entry, "description", 1000) : NULL;
    if (category->description == NULL) {
        return false;
    }
    for (const struct taxonomy_category *other = reader->taxonomy->categories; other < category; other++) {
        if (strcmp(other->name, category->name) == 0) {
            return reader_fail(reader, "this category was named before");
        }
    }
    const cJSON *keywords = cJSON_GetObjectItemCaseSensitive(entry, "keywords");
    if (keywords != NULL && !cJSON_IsObject(keywords)) {
        return reader_fail(reader, "keywords must be an object of languages");
    }
    if (keywords != NULL && !read_keywords(reader, keywords, category)) {
        return false;
    }
    if (category->keyword_count > 0) {
        qsort(category->keywords, category->keyword_count, sizeof *category->keywords, by_weight);
    }
    return true;
}

static bool read_taxonomy(struct reader *reader, const cJSON *root)
{
    struct taxonomy *taxonomy = reader->taxonomy;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "categories");
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    snprintf(reader->where, sizeof reader->where, "categories");
    if (count < 1 || count > TAXONOMY_MAX_CATEGORIES) {
        return reader_fail(reader, "must be a list of 1 to 100 categories");
    }
    taxonomy->categories = arena_array(taxonomy->arena, (size_t)count, sizeof *taxonomy->categories);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        snprintf(reader->where, sizeof reader->where, "categories[%zu]", taxonomy->category_count);
        if (!cJSON_IsObject(entry)) {
            return reader_fail(reader, "must be an object");
        }
        if (!read_category(reader, entry, &taxonomy->categories[taxonomy->category_count])) {
            return false;
        }
        taxonomy->category_count++;
    }
    reader->where[0] = 0;
    const char *fallback = read_name(reader, root, "fallback", NAME_MAX_BYTES);
    for (size_t i = 0; fallback != NULL && i < taxonomy->category_count; i++) {
        if (strcmp(taxonomy->categories[i].name, fallback) == 0) {
            taxonomy->fallback = &taxonomy->categories[i];
        }
    }
    snprintf(reader->where, sizeof reader->where, "fallback");
    return fallback != NULL &&
           (taxonomy->fallback != NULL || reader_fail(reader, "names no category of the list"));
}

struct taxonomy *taxonomy_parse(const char *json, size_t len, struct error *err)
{
    struct error problem = {0};
    cJSON *root = json_parse(json, len, &problem);
    if (root == NULL) {
        error_set(err, ERROR_FATAL, "taxonomy_invalid", "taxonomy: %s", problem.text);
        return NULL;
    }
    struct arena *arena = arena_new(0);
    struct taxonomy *taxonomy = ARENA_NEW(arena, struct taxonomy);
    taxonomy->arena = arena;
    char version[UUID_TEXT_SIZE];
    uuid_v5(json, len, version);
    taxonomy->version = arena_strdup(arena, version);
    struct reader reader = {.taxonomy = taxonomy, .err = err};
    bool ok = read_taxonomy(&reader, root);
    cJSON_Delete(root);
    if (!ok) {
        taxonomy_free(taxonomy);
        return NULL;
    }
    return taxonomy;
}

struct taxonomy *taxonomy_load(const char *path, struct error *err)
{
    if (path == NULL || path[0] == 0) {
        return taxonomy_parse(taxonomy_shipped, strlen(taxonomy_shipped), err);
    }
    struct buf text;
    buf_init(&text, TAXONOMY_MAX_BYTES);
    const char *why = file_read(path, &text);
    struct taxonomy *taxonomy = NULL;
    if (why != NULL) {
        error_set(err, ERROR_FATAL, "taxonomy_unreadable", "taxonomy: %s: %s", path, why);
    } else {
        taxonomy = taxonomy_parse(buf_text(&text), text.len, err);
    }
    buf_fini(&text);
    return taxonomy;
}

void taxonomy_free(struct taxonomy *taxonomy)
{
    if (taxonomy != NULL) {
        arena_free(taxonomy->arena);
    }
}
