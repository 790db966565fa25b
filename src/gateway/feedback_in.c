/* Reads and checks a feedback. */
#include "gateway/feedback_in.h"

#include <string.h>

#include "base/json.h"

#define NAME_BYTES 128

FIELD_NAME_OF(draft_choice)
FIELD_NAME_OF(outcome)
FIELD_NAME_OF(ticket_status)
FIELD_NAME_OF(priority)
FIELD_NAME_OF(sentiment)

static const char *const members[] = {"rating", "draft", "outcome", "ticket_status", "corrected", "csat",
    "final_text", "comment", "agent", NULL};
static const char *const corrected_members[] = {"category", "priority", "department", "sentiment", NULL};

static void read_choices(struct field_errors *errors, const cJSON *json, struct msg_feedback *feedback)
{
    unsigned value;
    if (field_choice(errors, json, "", "draft", draft_choice_at, MSG_DRAFT_CHOICE_COUNT, &value)) {
        feedback->has_draft = true;
        feedback->draft = (enum msg_draft_choice)value;
    }
    if (field_choice(errors, json, "", "outcome", outcome_at, MSG_OUTCOME_COUNT, &value)) {
        feedback->has_outcome = true;
        feedback->outcome = (enum msg_outcome)value;
    }
    if (field_choice(errors, json, "", "ticket_status", ticket_status_at, MSG_TICKET_STATUS_COUNT, &value)) {
        feedback->has_ticket_status = true;
        feedback->ticket_status = (enum msg_ticket_status)value;
    }
}

static void read_corrected(struct field_errors *errors, const cJSON *corrected, struct msg_feedback *feedback)
{
    const char *at = "/corrected";
    unsigned value;
    feedback->corrected_category = field_token(errors, corrected, at, "category", NAME_BYTES);
    feedback->corrected_department = field_token(errors, corrected, at, "department", NAME_BYTES);
    if (field_choice(errors, corrected, at, "priority", priority_at, MSG_PRIORITY_COUNT, &value)) {
        feedback->corrected_priority = msg_priority_name((enum msg_priority)value);
    }
    if (field_choice(errors, corrected, at, "sentiment", sentiment_at, MSG_SENTIMENT_COUNT, &value)) {
        feedback->corrected_sentiment = msg_sentiment_name((enum msg_sentiment)value);
    }
}

/* Something must be said: an empty feedback is a mistake of its sender. */
static bool says_nothing(const struct msg_feedback *f)
{
    return !f->has_rating && !f->has_draft && !f->has_outcome && !f->has_ticket_status && !f->has_csat &&
           f->corrected_category == NULL && f->corrected_priority == NULL &&
           f->corrected_department == NULL && f->corrected_sentiment == NULL && f->final_text == NULL &&
           f->comment == NULL && f->agent == NULL;
}

bool feedback_in_read(struct arena *arena, const char *body, size_t len, struct msg_feedback *feedback,
    const char **warning, struct field_errors *errors)
{
    struct error err = {0};
    cJSON *json = json_parse(body, len, &err);
    if (json == NULL || !cJSON_IsObject(json)) {
        field_error_root(errors, json == NULL ? err.text : "must be a JSON object");
        cJSON_Delete(json);
        return false;
    }
    struct field_unknown unknown = {0};
    field_find_unknown(&unknown, arena, json, "", members);
    feedback->has_rating = field_integer(errors, json, "", "rating", 1, 5, &feedback->rating);
    feedback->has_csat = field_integer(errors, json, "", "csat", 1, 5, &feedback->csat);
    read_choices(errors, json, feedback);
    const cJSON *corrected = field_object(errors, json, "", "corrected");
    if (corrected != NULL) {
        read_corrected(errors, corrected, feedback);
        field_find_unknown(&unknown, arena, corrected, "/corrected", corrected_members);
    }
    feedback->final_text = field_string(errors, json, "", "final_text");
    feedback->comment = field_string(errors, json, "", "comment");
    feedback->agent = field_token(errors, json, "", "agent", NAME_BYTES);
    *warning = field_warning(&unknown, arena);
    cJSON_Delete(json);
    if (errors->count == 0 && says_nothing(feedback)) {
        field_error_root(errors,
            "must have at least one of rating, draft, outcome, ticket_status, corrected, csat, "
            "final_text, comment, agent");
    }
    return errors->count == 0;
}
