/* Documents by format: picks the parser, settles title and locale. */
#include "kb/document.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "base/utf8.h"
#include "kb/cut.h"
#include "kb/encoding.h"
#include "model/language.h"

#define DETECT_BYTES 2000 /* enough text to tell a language by */

typedef bool parser_fn(
    struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);

static parser_fn *const parsers[] = {
    [KB_FORMAT_MARKDOWN] = kb_parse_markdown,
    [KB_FORMAT_HTML] = kb_parse_html,
    [KB_FORMAT_TEXT] = kb_parse_text,
    [KB_FORMAT_PDF] = kb_parse_pdf,
    [KB_FORMAT_DOCX] = kb_parse_docx,
    [KB_FORMAT_CSV] = kb_parse_csv,
};

enum kb_format kb_format_of(const char *key)
{
    static const struct {
        const char *ending;
        enum kb_format format;
    } endings[] = {
        {".md", KB_FORMAT_MARKDOWN},
        {".markdown", KB_FORMAT_MARKDOWN},
        {".html", KB_FORMAT_HTML},
        {".htm", KB_FORMAT_HTML},
        {".xhtml", KB_FORMAT_HTML},
        {".txt", KB_FORMAT_TEXT},
        {".text", KB_FORMAT_TEXT},
        {".pdf", KB_FORMAT_PDF},
        {".docx", KB_FORMAT_DOCX},
        {".csv", KB_FORMAT_CSV},
    };
    size_t len = strlen(key);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t ending = strlen(endings[i].ending);
        if (len > ending && !strcasecmp(key + len - ending, endings[i].ending)) {
            return endings[i].format;
        }
    }
    return KB_FORMAT_NONE;
}

const char *kb_text_config(const char *locale)
{
    if (!strncasecmp(locale, "en", 2) && !isalpha((unsigned char)locale[2])) {
        return "english";
    }
    if (!strncasecmp(locale, "de", 2) && !isalpha((unsigned char)locale[2])) {
        return "german";
    }
    return "simple";
}

/* "guides/first_steps.md" -> "first steps" */
static const char *title_of_key(struct arena *arena, const char *key)
{
    const char *name = strrchr(key, '/');
    name = name ? name + 1 : key;
    const char *dot = strrchr(name, '.');
    char *title = arena_strndup(arena, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
    for (char *c = title; *c; c++) {
        *c = (*c == '-' || *c == '_') ? ' ' : *c;
    }
    return title;
}

/* Up to DETECT_BYTES of the sample; returns how much is used. */
static size_t add_sample(char *sample, size_t used, const char *text)
{
    size_t take = utf8_clip(text, DETECT_BYTES - used);
    memcpy(sample + used, text, take);
    used += take;
    if (used < DETECT_BYTES) {
        sample[used++] = '\n';
    }
    return used;
}

/* Of the headings, too: an answer of a word or two has its language from its question. */
static const char *detected_locale(struct arena *arena, const struct kb_document *document)
{
    char *sample = arena_alloc(arena, DETECT_BYTES + 1);
    size_t used = 0;
    for (size_t i = 0; i < document->passage_count && used < DETECT_BYTES; i++) {
        used = add_sample(sample, used, document->passages[i].heading_path);
        used = add_sample(sample, used, document->passages[i].text);
    }
    const char *found = language_detect(arena, sample);
    return strcmp(found, "und") ? found : "";
}

/* What the document says, else its first folder ("de/hub.md"), else its source, else its text. */
static void settle_locale(struct arena *arena, const char *key, const char *locale, struct kb_document *out)
{
    if (*out->locale) {
        return;
    }
    const char *slash = strchr(key, '/');
    char *folder = slash ? arena_strndup(arena, key, (size_t)(slash - key)) : NULL;
    size_t language = folder ? strcspn(folder, "-_") : 0;
    if (language == 2 && kb_is_locale(folder)) {
        out->locale = folder;
    } else if (*locale) {
        out->locale = locale;
    } else {
        out->locale = detected_locale(arena, out);
    }
}

static bool begins(const char *data, size_t len, const char *magic)
{
    return len >= strlen(magic) && !memcmp(data, magic, strlen(magic));
}

/* Whether the first bytes are of the format that the key names. */
static bool check_type(enum kb_format format, const char *data, size_t len, struct error *err)
{
    bool pdf = memmem(data, len < 1024 ? len : 1024, "%PDF-", 5) != NULL;
    bool zip = begins(data, len, "PK\x03\x04");
    if (format == KB_FORMAT_DOCX && begins(data, len, "\xd0\xcf\x11\xe0")) { /* what wraps an encrypted one */
        return error_set(
            err, ERROR_REJECT, "kb_protected", "the Word document is encrypted, or of Word before 2007");
    }
    if (format == KB_FORMAT_PDF ? !pdf : format == KB_FORMAT_DOCX && !zip) {
        return error_set(err, ERROR_REJECT, "kb_wrong_type",
            "the name ends in %s, the content is something else", format == KB_FORMAT_PDF ? ".pdf" : ".docx");
    }
    if (format != KB_FORMAT_PDF && format != KB_FORMAT_DOCX && (begins(data, len, "%PDF-") || zip)) {
        return error_set(err, ERROR_REJECT, "kb_wrong_type",
            "the name is that of a text, the content is a %s", zip ? "ZIP archive or Word document" : "PDF");
    }
    return true;
}

bool kb_parse(struct arena *arena, const char *key, const char *locale, const char *data, size_t len,
    struct kb_document *out, struct error *err)
{
    enum kb_format format = kb_format_of(key);
    if (format == KB_FORMAT_NONE) {
        return error_set(err, ERROR_REJECT, "kb_format", "documents of this kind are not read");
    }
    if (!check_type(format, data, len, err)) {
        return false;
    }
    bool text = format != KB_FORMAT_PDF && format != KB_FORMAT_DOCX;
    if (text && !encoding_to_utf8(arena, format == KB_FORMAT_HTML, &data, &len, err)) {
        return false;
    }
    struct kb_cut *cut = kb_cut_new(arena, KB_MAX_TEXT);
    if (!parsers[format](cut, arena, data, len, err)) {
        return false;
    }
    if (!kb_cut_finish(cut, out)) {
        return error_set(err, ERROR_REJECT, "kb_too_complex", "the document is cut into too many passages");
    }
    if (out->passage_count == 0 && !*out->withdrawn) {
        return error_set(err, ERROR_REJECT, "kb_empty", "the document has no text");
    }
    if (!*out->title) {
        out->title = title_of_key(arena, key);
    }
    settle_locale(arena, key, locale, out);
    return true;
}

static char *put_encoded(char *at, const char *text, const char *also_plain)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (isalnum(byte) || strchr("-._~", byte) || strchr(also_plain, byte)) {
            *at++ = *c;
        } else {
            *at++ = '%';
            *at++ = hex[byte >> 4];
            *at++ = hex[byte & 15];
        }
    }
    return at;
}

const char *kb_uri(struct arena *arena, const char *public_url, const char *source, const char *key)
{
    size_t base = strlen(public_url);
    char *uri = arena_alloc(arena, base + 3 * (strlen(source) + strlen(key)) + 16);
    char *at = uri;
    if (base) {
        memcpy(at, public_url, base);
        at += base;
    } else {
        memcpy(at, "kb://", 5);
        at = put_encoded(at + 5, source, "");
    }
    if (at[-1] != '/') {
        *at++ = '/';
    }
    at = put_encoded(at, key, "/");
    *at = '\0';
    return uri;
}

const char *kb_fragment(struct arena *arena, const char *anchor)
{
    char *fragment = arena_alloc(arena, 3 * strlen(anchor) + 1);
    *put_encoded(fragment, anchor, "=") = '\0';
    return fragment;
}
