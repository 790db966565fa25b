/* Makes the vectors of passages that have none, in the background of kb-sync: of all tenants, one process at
 * a time for each, within the tenant's budget. What is made is kept at once, so a pass that ends early goes
 * on where it ended. */
#ifndef HELPDESK_STAGES_KB_VECTORS_H
#define HELPDESK_STAGES_KB_VECTORS_H

#include "stages/stage.h"

struct kb_vectors;

/* Whether the settings name a model for it. */
bool kb_vectors_wanted(const struct conf *conf);
/* NULL: ERROR_FATAL "setting_invalid" or "setting_missing" (the model's price, too). Counts
 * helpdesk_kb_vectors_made_total and helpdesk_kb_vectors_refused_total, sets helpdesk_kb_vectors_missing and
 * helpdesk_kb_vectors_done_timestamp_seconds; tokens and cost are counted as of every model. */
struct kb_vectors *kb_vectors_new(const struct stage_env *env, struct error *err);
/* It is freed when the last statement has come back. NULL is fine. */
void kb_vectors_close(struct kb_vectors *vectors);

#endif
