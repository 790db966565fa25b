/* Encodings: marks, declarations and detection (uchardet) say which; iconv converts, strictly. */
#include "kb/encoding.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#include <uchardet/uchardet.h>
#include "base/utf8.h"

#define DECLARED_WITHIN 4096             /* bytes in which a page says its encoding */
#define DETECT_BYTES ((size_t)256 << 10) /* that a guess is made of ... */
#define DETECT_BEFORE 1024               /* ... from so many before the first that is not ASCII */
#define LABEL_MAX 24
#define GROWTH 3 /* bytes of UTF-8 that a byte of any encoding becomes, at most */

/* ---- names ---- */

/* The name for iconv of a label, as browsers read it (WHATWG Encoding), NULL: none that is known, or UTF-8.
 */
static const char *known_as(const char *label)
{
    static const struct {
        const char *label, *name;
    } labels[] = {
        {"ascii", "CP1252"},
        {"us-ascii", "CP1252"},
        {"latin1", "CP1252"},
        {"l1", "CP1252"},
        {"iso-8859-1", "CP1252"},
        {"iso8859-1", "CP1252"},
        {"iso_8859-1", "CP1252"},
        {"latin2", "ISO-8859-2"},
        {"iso-8859-2", "ISO-8859-2"},
        {"iso-8859-3", "ISO-8859-3"},
        {"iso-8859-4", "ISO-8859-4"},
        {"iso-8859-5", "ISO-8859-5"},
        {"iso-8859-6", "ISO-8859-6"},
        {"iso-8859-7", "ISO-8859-7"},
        {"iso-8859-8", "ISO-8859-8"},
        {"iso-8859-9", "CP1254"},
        {"latin5", "CP1254"},
        {"iso-8859-10", "ISO-8859-10"},
        {"iso-8859-11", "CP874"},
        {"tis-620", "CP874"},
        {"windows-874", "CP874"},
        {"iso-8859-13", "ISO-8859-13"},
        {"iso-8859-14", "ISO-8859-14"},
        {"iso-8859-15", "ISO-8859-15"},
        {"latin9", "ISO-8859-15"},
        {"iso-8859-16", "ISO-8859-16"},
        {"windows-1250", "CP1250"},
        {"windows-1251", "CP1251"},
        {"windows-1252", "CP1252"},
        {"windows-1253", "CP1253"},
        {"windows-1254", "CP1254"},
        {"windows-1255", "CP1255"},
        {"windows-1256", "CP1256"},
        {"windows-1257", "CP1257"},
        {"windows-1258", "CP1258"},
        {"cp1250", "CP1250"},
        {"cp1251", "CP1251"},
        {"cp1252", "CP1252"},
        {"koi8-r", "KOI8-R"},
        {"koi8-u", "KOI8-U"},
        {"ibm866", "IBM866"},
        {"cp866", "IBM866"},
        {"macintosh", "MACINTOSH"},
        {"shift_jis", "CP932"},
        {"shift-jis", "CP932"},
        {"sjis", "CP932"},
        {"x-sjis", "CP932"},
        {"windows-31j", "CP932"},
        {"euc-jp", "EUC-JP"},
        {"x-euc-jp", "EUC-JP"},
        {"iso-2022-jp", "ISO-2022-JP"},
        {"gb2312", "GB18030"},
        {"gbk", "GB18030"},
        {"gb18030", "GB18030"},
        {"big5", "BIG5-HKSCS"},
        {"big5-hkscs", "BIG5-HKSCS"},
        {"euc-kr", "CP949"},
        {"ks_c_5601-1987", "CP949"},
        {"windows-949", "CP949"},
        {"uhc", "CP949"},
    };
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (!strcasecmp(label, labels[i].label)) {
            return labels[i].name;
        }
    }
    return NULL;
}

/* ---- what a document says ---- */

struct mark {
    const char *bytes;
    size_t len;
    const char *name;
};

/* Longest first: UTF-32 begins as UTF-16 does. */
static const struct mark marks[] = {
    {"\xff\xfe\0\0", 4, "UTF-32LE"},
    {"\0\0\xfe\xff", 4, "UTF-32BE"},
    {"\xef\xbb\xbf", 3, "UTF-8"},
    {"\xff\xfe", 2, "UTF-16LE"},
    {"\xfe\xff", 2, "UTF-16BE"},
};

static const struct mark *mark_of(const char *data, size_t len)
{
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (len >= marks[i].len && !memcmp(data, marks[i].bytes, marks[i].len)) {
            return &marks[i];
        }
    }
    return NULL;
}

/* The value after `name`, an equals sign and perhaps a quote; false: none. */
static bool value_after(const char *head, const char *name, char label[LABEL_MAX])
{
    const char *at = strcasestr(head, name);
    if (!at) {
        return false;
    }
    at += strlen(name);
    at += strspn(at, " \t\r\n");
    if (*at != '=') {
        return false;
    }
    at++;
    at += strspn(at, " \t\r\n\"'");
    size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    if (len == 0 || len >= LABEL_MAX) {
        return false;
    }
    memcpy(label, at, len);
    label[len] = '\0';
    return true;
}

static const char *declared(struct arena *arena, const char *data, size_t len)
{
    const char *head = arena_strndup(arena, data, len < DECLARED_WITHIN ? len : DECLARED_WITHIN);
    char label[LABEL_MAX];
    bool found = !strncmp(head, "<?xml", 5) && value_after(head, "encoding", label);
    for (const char *meta = head; !found && (meta = strcasestr(meta, "<meta"));) {
        meta += 5;
        const char *tag = arena_strndup(arena, meta, strcspn(meta, ">"));
        found = value_after(tag, "charset", label);
    }
    return found ? known_as(label) : NULL;
}

/* ---- what it looks like ---- */

/* Text in UTF-16 without a mark has its zeros on one side. */
static const char *without_mark(const char *data, size_t len)
{
    size_t zeros[2] = {0}, most = len < DETECT_BYTES ? len : DETECT_BYTES;
    for (size_t i = 0; i < most; i++) {
        zeros[i % 2] += data[i] == '\0';
    }
    if (len % 2 == 0 && zeros[0] + zeros[1] > most / 8) {
        return zeros[0] == 0 ? "UTF-16LE" : (zeros[1] == 0 ? "UTF-16BE" : NULL);
    }
    return NULL;
}

/* Many characters of UTF-8 and few mistakes: no other encoding looks like that. */
static bool nearly_utf8(const char *data, size_t len)
{
    size_t right = 0, wrong = 0;
    for (size_t at = 0; at < len;) {
        int32_t code;
        size_t step = utf8_char(data + at, len - at, &code);
        right += step > 1;
        wrong += step == 0;
        at += step ? step : 1;
    }
    return right > 4 * wrong;
}

static size_t first_wrong(const char *data, size_t len)
{
    size_t at = 0;
    int32_t code = 1;
    for (size_t step = 1; step && at < len; at += step) {
        step = utf8_char(data + at, len - at, &code);
    }
    return at;
}

/* In the arena; NULL: like nothing that is known. */
static const char *detected(struct arena *arena, const char *data, size_t len)
{
    size_t start = 0;
    while (start < len && (unsigned char)data[start] < 0x80 && data[start] != 0x1b) {
        start++;
    }
    start = start > DETECT_BEFORE ? start - DETECT_BEFORE : 0;
    size_t most = len - start < DETECT_BYTES ? len - start : DETECT_BYTES;
    uchardet_t detector = uchardet_new();
    bool ok = detector && uchardet_handle_data(detector, data + start, most) == 0;
    if (ok) {
        uchardet_data_end(detector);
    }
    const char *found = ok ? arena_strdup(arena, uchardet_get_charset(detector)) : "";
    if (detector) {
        uchardet_delete(detector);
    }
    if (!*found || !strcasecmp(found, "ASCII") || !strcasecmp(found, "UTF-8")) {
        return NULL;
    }
    const char *name = known_as(found);
    return name ? name : found;
}

/* Bytes that no text has. */
static bool is_binary(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 && !isspace((unsigned char)text[i])) {
            return true;
        }
    }
    return false;
}

/* ---- conversion ---- */

static bool not_valid(const char *name, size_t at, struct error *err)
{
    return error_set(
        err, ERROR_REJECT, "kb_encoding", "the document is not valid %s (at byte %zu)", name, at);
}

static bool convert(
    struct arena *arena, const char *name, const char **data, size_t *len, size_t skip, struct error *err)
{
    iconv_t converter = iconv_open("UTF-8", name);
    if (converter == (iconv_t)-1) {
        return error_set(
            err, ERROR_REJECT, "kb_encoding", "the document is in %s, which this system cannot read", name);
    }
    size_t room = GROWTH * *len + 16, out_left = room, in_left = *len - skip;
    char *out = arena_alloc(arena, room + 1), *to = out,
         *from = (char *)(*data + skip); /* it is not written */
    bool ok = iconv(converter, &from, &in_left, &to, &out_left) != (size_t)-1 &&
              iconv(converter, NULL, NULL, &to, &out_left) != (size_t)-1;
    (void)iconv_close(converter);
    *to = '\0';
    if (!ok || !utf8_valid(out, room - out_left)) {
        return not_valid(name, *len - in_left, err);
    }
    *data = out;
    *len = room - out_left;
    return true;
}

/* Of bytes without a mark that are not UTF-8. */
static const char *name_of(struct arena *arena, bool markup, const char *data, size_t len)
{
    const char *name = markup ? declared(arena, data, len) : NULL;
    name = name ? name : without_mark(data, len);
    return name ? name : detected(arena, data, len);
}

bool encoding_to_utf8(struct arena *arena, bool markup, const char **data, size_t *len, struct error *err)
{
    const struct mark *mark = mark_of(*data, *len);
    if (mark && mark->len != 3) {
        return convert(arena, mark->name, data, len, mark->len, err);
    }
    size_t skip = mark ? mark->len : 0;
    if (utf8_valid(*data + skip, *len - skip)) {
        bool shifts = memchr(*data, 0x1b, *len) != NULL; /* ISO-2022: all bytes are ASCII */
        const char *name = shifts && !mark ? detected(arena, *data, *len) : NULL;
        if (name) {
            return convert(arena, name, data, len, 0, err);
        }
        *data += skip;
        *len -= skip;
        return true;
    }
    if (mark || nearly_utf8(*data, *len)) {
        return not_valid("UTF-8", first_wrong(*data, *len), err);
    }
    const char *name = name_of(arena, markup, *data, *len);
    if (!name) {
        return error_set(err, ERROR_REJECT, "kb_encoding",
            "the document is in no encoding that is known: it is not UTF-8 and looks like no other");
    }
    if (!convert(arena, name, data, len, 0, err)) {
        return false;
    }
    return !is_binary(*data, *len) || error_set(err, ERROR_REJECT, "kb_encoding",
                                          "the document is not text: as %s it has control characters", name);
}
