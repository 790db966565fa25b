/* The arguments of `helpdesk dlq`. */
#include "cmd/dlq_args.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cmd/cmd.h"

const struct stage *const dlq_stages[] = {
    &stage_classifier, &stage_retriever, &stage_generator, &stage_kb_sync, &stage_logger, NULL};

static const char usage[] =
    "helpdesk dlq list [--stage STAGE] [--all] [--json] [filters]\n"
    "helpdesk dlq show STAGE P:O [--json]\n"
    "helpdesk dlq replay STAGE [--dry-run] [--yes] [--reason TEXT] [filters]\n"
    "helpdesk dlq discard STAGE [--dry-run] [--yes] [--reason TEXT] [filters]\n"
    "\n"
    "What a stage could not process waits in the topic <stage>.dead. `replay` publishes it to the topic it\n"
    "came from, once, with the same bytes, key, headers and time: every reader of that topic sees it.\n"
    "`discard` marks it as handled. STAGE is classifier, retriever, generator, kb-sync or logger; P:O is\n"
    "partition and offset, as `list` shows them.\n"
    "\n"
    "  --class C         died of this class of error\n"
    "  --since T         died at T or later: 2026-01-31T12:00:00Z, or 90s, 30m, 2h, 3d ago\n"
    "  --until T         died before T\n"
    "  --key PREFIX      the key starts with this\n"
    "  --tenant T        of this tenant\n"
    "  --ticket ID       of this ticket\n"
    "  --correlation ID  of this run\n"
    "  --offset P:O      this letter; may be repeated\n"
    "  --limit N         at most N letters\n"
    "\n"
    "  --all             list: those that are handled, too\n"
    "  --json            for programs\n"
    "  --dry-run         tell what would be done, do nothing\n"
    "  --yes             without a filter: do not ask\n"
    "  --reason TEXT     goes to the log\n";

enum option_id {
    OPT_STAGE = 1,
    OPT_ALL,
    OPT_JSON,
    OPT_DRY_RUN,
    OPT_YES,
    OPT_REASON,
    OPT_CLASS,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_KEY,
    OPT_TENANT,
    OPT_TICKET,
    OPT_CORRELATION,
    OPT_OFFSET,
    OPT_LIMIT,
    OPT_HELP,
};

#define LIST (1U << DLQ_LIST)
#define SHOW (1U << DLQ_SHOW)
#define CHANGE (1U << DLQ_REPLAY | 1U << DLQ_DISCARD)

static const struct option options[] = {
    {"stage", required_argument, NULL, OPT_STAGE},
    {"all", no_argument, NULL, OPT_ALL},
    {"json", no_argument, NULL, OPT_JSON},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"yes", no_argument, NULL, OPT_YES},
    {"reason", required_argument, NULL, OPT_REASON},
    {"class", required_argument, NULL, OPT_CLASS},
    {"since", required_argument, NULL, OPT_SINCE},
    {"until", required_argument, NULL, OPT_UNTIL},
    {"key", required_argument, NULL, OPT_KEY},
    {"tenant", required_argument, NULL, OPT_TENANT},
    {"ticket", required_argument, NULL, OPT_TICKET},
    {"correlation", required_argument, NULL, OPT_CORRELATION},
    {"offset", required_argument, NULL, OPT_OFFSET},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

/* Which verbs take the option. */
static unsigned verbs_of(int option)
{
    switch (option) {
    case OPT_STAGE:
    case OPT_ALL:
        return LIST;
    case OPT_JSON:
        return LIST | SHOW;
    case OPT_DRY_RUN:
    case OPT_YES:
    case OPT_REASON:
        return CHANGE;
    default:
        return LIST | CHANGE;
    }
}

/* ---- values ---- */

static int wrong_value(const char *option, const char *given, const char *right)
{
    return cmd_fail(2, "dlq", "--%s is \"%s\", should be %s", option, given, right);
}

/* "2h": so long before `now`. */
static bool read_age(const char *text, int64_t now, int64_t *out)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char digits[16] = {0};
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len >= sizeof(digits) || text[len] == '\0' || text[len + 1] != '\0') {
        return false;
    }
    memcpy(digits, text, len);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t number, age;
        if (text[len] == units[i].unit && parse_int64(digits, &number) &&
            !__builtin_mul_overflow(number, units[i].ms, &age)) {
            *out = now - age;
            return true;
        }
    }
    return false;
}

static int read_time(const char *option, const char *text, int64_t now, int64_t *out)
{
    if (clock_parse(text, out) || read_age(text, now, out)) {
        return 0;
    }
    return wrong_value(
        option, text, "a time such as 2026-01-31T12:00:00Z, or how long ago, such as 30m or 2h");
}

static bool read_place(const char *text, struct dlq_place *place)
{
    char digits[16] = {0};
    int64_t partition;
    size_t len = strcspn(text, ":");
    if (text[len] == '\0' || len >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text, len);
    if (!parse_int64(digits, &partition) || partition < 0 || partition > INT32_MAX ||
        !parse_int64(text + len + 1, &place->offset) || place->offset < 0) {
        return false;
    }
    place->partition = (int32_t)partition;
    return true;
}

static int add_place(struct dlq_filter *filter, const char *option, const char *text)
{
    if (filter->place_count == DLQ_PLACES_MAX) {
        return cmd_fail(2, "dlq", "--offset at most %d times", DLQ_PLACES_MAX);
    }
    filter->places = xrealloc(filter->places, (filter->place_count + 1) * sizeof(*filter->places));
    if (!read_place(text, &filter->places[filter->place_count])) {
        return wrong_value(option, text, "partition:offset, such as 3:17");
    }
    filter->place_count++;
    return 0;
}

static const struct stage *find_stage(const char *name)
{
    size_t i = 0;
    while (dlq_stages[i] && strcmp(dlq_stages[i]->name, name) != 0) {
        i++;
    }
    return dlq_stages[i];
}

static int set_stage(struct dlq_args *args, const char *name)
{
    args->stage = find_stage(name);
    if (args->stage) {
        return 0;
    }
    return cmd_fail(
        2, "dlq", "no stage is called \"%s\": classifier, retriever, generator, kb-sync or logger", name);
}

static int set_limit(struct dlq_args *args, const char *text)
{
    if (parse_int64(text, &args->limit) && args->limit > 0) {
        return 0;
    }
    return wrong_value("limit", text, "a whole number from 1 on");
}

/* ---- options ---- */

/* The filter's text that the option sets; NULL: it is no such option. */
static const char **filter_text(struct dlq_filter *filter, int option)
{
    switch (option) {
    case OPT_CLASS:
        return &filter->error_class;
    case OPT_KEY:
        return &filter->key;
    case OPT_TENANT:
        return &filter->tenant;
    case OPT_TICKET:
        return &filter->ticket;
    case OPT_CORRELATION:
        return &filter->correlation;
    default:
        return NULL;
    }
}

static bool is_filter(int option)
{
    return option >= OPT_CLASS && option <= OPT_OFFSET;
}

/* 0, or the code to exit with. */
static int take_option(struct dlq_args *args, int option, int64_t now)
{
    const char **text = filter_text(&args->filter, option);
    if (is_filter(option)) {
        args->filter.any = false;
    }
    if (text) {
        *text = optarg;
        return 0;
    }
    switch (option) {
    case OPT_STAGE:
        return set_stage(args, optarg);
    case OPT_ALL:
        args->all = true;
        return 0;
    case OPT_JSON:
        args->json = true;
        return 0;
    case OPT_DRY_RUN:
        args->dry_run = true;
        return 0;
    case OPT_YES:
        args->yes = true;
        return 0;
    case OPT_REASON:
        args->reason = optarg;
        return 0;
    case OPT_SINCE:
        return read_time("since", optarg, now, &args->filter.since);
    case OPT_UNTIL:
        return read_time("until", optarg, now, &args->filter.until);
    case OPT_OFFSET:
        return add_place(&args->filter, "offset", optarg);
    case OPT_LIMIT:
        return set_limit(args, optarg);
    default:
        return 2; /* getopt_long said it */
    }
}

static bool find_verb(const char *name, enum dlq_verb *verb)
{
    static const char *const names[] = {"list", "show", "replay", "discard"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *verb = (enum dlq_verb)i;
            return true;
        }
    }
    return false;
}

static int take_words(struct dlq_args *args, const char *verb, int count, char **words)
{
    static const int wanted[] = {[DLQ_LIST] = 0, [DLQ_SHOW] = 2, [DLQ_REPLAY] = 1, [DLQ_DISCARD] = 1};
    static const char *const right[] = {[DLQ_LIST] = "takes options only, such as --stage classifier",
        [DLQ_SHOW] = "takes a stage and a letter, such as: show classifier 3:17",
        [DLQ_REPLAY] = "takes a stage, such as: replay classifier --class record_malformed",
        [DLQ_DISCARD] = "takes a stage, such as: discard classifier --class record_malformed"};
    if (count != wanted[args->verb]) {
        return cmd_fail(2, "dlq", "%s %s; `helpdesk dlq --help` tells more", verb, right[args->verb]);
    }
    int wrong = count > 0 ? set_stage(args, words[0]) : 0;
    if (wrong == 0 && args->verb == DLQ_SHOW) {
        wrong = add_place(&args->filter, "offset", words[1]);
    }
    return wrong;
}

static int read_all(struct dlq_args *args, int argc, char **argv, int64_t now)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        cmd_print(usage);
        return 0;
    }
    if (argc < 2 || !find_verb(argv[1], &args->verb)) {
        return cmd_fail(2, "dlq", "say list, show, replay or discard; `helpdesk dlq --help` tells more");
    }
    optind = 0;
    int option, index = 0;
    while ((option = getopt_long(argc - 1, argv + 1, "", options, &index)) != -1) {
        if (option == OPT_HELP) {
            cmd_print(usage);
            return 0;
        }
        if (option != '?' && !(verbs_of(option) & 1U << args->verb)) {
            return cmd_fail(2, "dlq", "%s knows no --%s", argv[1], options[index].name);
        }
        int wrong = take_option(args, option, now);
        if (wrong != 0) {
            return wrong;
        }
    }
    int wrong = take_words(args, argv[1], argc - 1 - optind, argv + 1 + optind);
    return wrong != 0 ? wrong : -1;
}

int dlq_args_read(struct dlq_args *args, int argc, char **argv, int64_t now)
{
    *args = (struct dlq_args){
        .limit = INT64_MAX, .filter = {.since = INT64_MIN, .until = INT64_MAX, .any = true}};
    int code = read_all(args, argc, argv, now);
    if (code != -1) {
        dlq_args_fini(args);
    }
    return code;
}

void dlq_args_fini(struct dlq_args *args)
{
    free(args->filter.places);
    args->filter.places = NULL;
}

/* ---- which letters ---- */

bool dlq_filter_has_partition(const struct dlq_filter *filter, int32_t partition)
{
    bool found = filter->place_count == 0;
    for (size_t i = 0; i < filter->place_count && !found; i++) {
        found = filter->places[i].partition == partition;
    }
    return found;
}

static bool has_place(const struct dlq_filter *filter, const struct bus_record *record)
{
    bool found = filter->place_count == 0;
    for (size_t i = 0; i < filter->place_count && !found; i++) {
        found =
            filter->places[i].partition == record->partition && filter->places[i].offset == record->offset;
    }
    return found;
}

static bool has_key(const struct dlq_filter *filter, const struct bus_record *record)
{
    size_t len = filter->key ? strlen(filter->key) : 0;
    return !filter->key ||
           (record->key && record->key_len >= len && memcmp(record->key, filter->key, len) == 0);
}

static bool is_text(const char *wanted, const char *text)
{
    return !wanted || strcmp(wanted, text) == 0;
}

bool dlq_filter_match(const struct dlq_filter *filter, struct arena *arena, struct dlq_letter *letter)
{
    const struct letter *why = &letter->why;
    if (!has_place(filter, letter->record) || !has_key(filter, letter->record) ||
        !is_text(filter->error_class, why->error_class) || why->died_at < filter->since ||
        why->died_at >= filter->until) {
        return false;
    }
    if (!filter->tenant && !filter->ticket && !filter->correlation) {
        return true;
    }
    dlq_letter_identify(letter, arena);
    return is_text(filter->tenant, letter->tenant) && is_text(filter->ticket, letter->ticket) &&
           is_text(filter->correlation, letter->correlation);
}
