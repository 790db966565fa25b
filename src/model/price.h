/* What models cost: the operator's prices, the shipped list, and nothing for a server of one's own. */
#ifndef HELPDESK_MODEL_PRICE_H
#define HELPDESK_MODEL_PRICE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

/* USD per million tokens. */
struct price {
    double input;
    double output;
};

/* The shipped price list, deploy/prices.json; its "as_of" tells the day. */
extern const char price_list_shipped[];

/* The price of `model`, as far as one is known:
 *   1. in `prices`, setting model.prices: rows "id=INPUT/OUTPUT" with commas between, or the path of a file
 * of the shipped list's form; "*" at the end of an id stands for any rest; the longest id that fits counts
 *   2. in the shipped list
 *   3. nothing, when `base_url` is on this machine or in a private network (RFC 1918, RFC 4193, or a name
 *      without a dot)
 * False: ERROR_FATAL "setting_invalid" when `prices` cannot be read, "setting_missing" when there is no
 * price; both name the setting and what would be right. Reads files: at start only. */
bool price_find(
    const char *prices, const char *model, const char *base_url, struct price *out, struct error *err);

double price_of(const struct price *price, int64_t input_tokens, int64_t output_tokens); /* USD */

#endif
