/* Prices of models. */
#include "model/price.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"

#define FILE_MAX (1024 * 1024)
#define PRICE_MAX 1000000 /* USD per million tokens */
#define ROW "model.prices must be rows like gpt-4o-mini=0.15/0.60 with commas between, or the path of a file"

struct search {
    const char *model;
    size_t best; /* bytes of the longest id that fits, plus one; 0: none yet */
    struct price price;
};

double price_of(const struct price *price, int64_t input_tokens, int64_t output_tokens)
{
    return ((double)input_tokens * price->input + (double)output_tokens * price->output) / 1e6;
}

/* ---- which row fits ---- */

static void offer(struct search *search, const char *id, size_t len, const struct price *price)
{
    bool open = len > 0 && id[len - 1] == '*';
    size_t fixed = open ? len - 1 : len;
    bool fits = strncmp(search->model, id, fixed) == 0 && (open || search->model[fixed] == '\0');
    size_t weight = fixed + 1 + !open;
    if (fits && weight > search->best) {
        search->best = weight;
        search->price = *price;
    }
}

static bool read_number(const char *text, const char **end, double *out)
{
    char *stop;
    errno = 0;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && errno == 0 && isfinite(*out) && *out >= 0 && *out <= PRICE_MAX;
}

static bool search_rows(struct search *search, const char *rows, struct error *err)
{
    for (const char *at = rows; *at;) {
        size_t len = strcspn(at, "=,");
        struct price price;
        const char *end = at + len;
        bool ok = len > 0 && *end == '=' && read_number(end + 1, &end, &price.input) && *end == '/' &&
                  read_number(end + 1, &end, &price.output) && (*end == ',' || *end == '\0');
        if (!ok) {
            return error_set(err, ERROR_FATAL, "setting_invalid", ROW);
        }
        offer(search, at, len, &price);
        at = *end ? end + 1 : end;
    }
    return true;
}

static bool search_list(struct search *search, const char *text, size_t len, struct error *err)
{
    struct error why;
    cJSON *json = json_parse(text, len, &why);
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(json, "models"), *row;
    bool ok = cJSON_IsObject(models);
    cJSON_ArrayForEach(row, models)
    {
        struct price price = {json_num(row, "input", -1), json_num(row, "output", -1)};
        ok = ok && price.input >= 0 && price.output >= 0 && price.input <= PRICE_MAX &&
             price.output <= PRICE_MAX;
        if (ok) {
            offer(search, row->string, strlen(row->string), &price);
        }
    }
    cJSON_Delete(json);
    return ok || error_set(err, ERROR_FATAL, "setting_invalid",
                     "the file of model.prices must be JSON like {\"models\": {\"ID\": {\"input\": 0.15, "
                     "\"output\": "
                     "0.60}}}, in USD per million tokens");
}

static bool search_file(struct search *search, const char *path, struct error *err)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    const char *why = file_read(path, &text);
    bool ok = why ? error_set(err, ERROR_FATAL, "setting_invalid", ROW ": %.100s: %s", path, why)
                  : search_list(search, buf_text(&text), text.len, err);
    buf_fini(&text);
    return ok;
}

/* ---- whose server ---- */

static bool is_private_v4(uint32_t ip)
{
    return ip >> 24 == 127 || ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8;
}

static bool is_own_server(const char *base_url)
{
    const char *host = strstr(base_url, "://");
    char name[256];
    if (!host) {
        return false;
    }
    host += strlen("://");
    bool bracket = *host == '[';
    host += bracket;
    size_t len = strcspn(host, bracket ? "]" : ":/");
    if (len == 0 || len >= sizeof(name)) {
        return false;
    }
    memcpy(name, host, len);
    name[len] = '\0';
    struct in_addr v4;
    struct in6_addr v6;
    if (bracket) {
        return inet_pton(AF_INET6, name, &v6) == 1 &&
               (IN6_IS_ADDR_LOOPBACK(&v6) || (v6.s6_addr[0] & 0xfe) == 0xfc);
    }
    if (inet_pton(AF_INET, name, &v4) == 1) {
        return is_private_v4(ntohl(v4.s_addr));
    }
    return strchr(name, '.') == NULL; /* "localhost", the name of a container */
}

/* ---- all together ---- */

bool price_find(
    const char *prices, const char *model, const char *base_url, struct price *out, struct error *err)
{
    struct search search = {.model = model};
    bool read = prices[0] == '\0' ||
                (strchr(prices, '=') ? search_rows(&search, prices, err) : search_file(&search, prices, err));
    if (!read) {
        return false;
    }
    bool own = is_own_server(base_url);
    if (search.best == 0 && !own) {
        if (!search_list(&search, price_list_shipped, strlen(price_list_shipped), err)) {
            return false;
        }
    }
    if (search.best == 0 && !own) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "no price is known for model %.128s: set model.prices to %.128s=INPUT/OUTPUT, in USD per million "
            "tokens "
            "(0/0 when it costs nothing)",
            model, model);
    }
    *out = search.price; /* zeros for a server of one's own */
    return true;
}
