/* `helpdesk dlq`: dead letters are listed, shown, replayed and discarded. */
#include "cmd/dlq.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/dlq_view.h"
#include "msg/codec.h"

#define OUT_MAX ((size_t)64 << 20)

bool dlq_open_marks(
    struct dlq_marks *marks, const struct dead *dead, const char *stage, int32_t partition, struct error *err)
{
    const struct dead_partition *found = dead_partition(dead, partition);
    return dlq_marks_init(marks, found->low, found->end, found->committed, found->metadata) ||
           error_set(err, ERROR_FATAL, "marks_unreadable",
               "which letters of %s, partition %" PRId32
               ", are handled is not known: what group %s.dlq has committed there is not from this command",
               stage, partition, stage);
}

int64_t dlq_first_waiting(const struct dlq_marks *marks, const struct dead *dead, int32_t partition)
{
    int64_t low = dead_partition(dead, partition)->low;
    return marks->from > low ? marks->from : low;
}

static void flush_out(struct buf *out)
{
    fwrite(buf_text(out), 1, out->len, stdout);
    buf_reset(out);
}

/* ---- list ---- */

struct list {
    const struct conf *conf;
    const struct dlq_args *args;
    const struct stage *stage;
    struct dlq_marks marks;
    struct buf out;
    struct term term;
    int64_t shown;
    int64_t waiting, handled; /* of the stage */
    int64_t all_waiting, all_handled;
    struct buf counts; /* JSON */
};

static void put_json(struct list *list, struct dlq_letter *letter, struct arena *arena)
{
    cJSON *object = dlq_letter_json(letter, arena, false);
    char *text = cJSON_PrintUnformatted(object);
    buf_puts(&list->out, list->shown > 0 ? ",\n" : "\n");
    term_escape_json(&list->out, text);
    cJSON_free(text);
    cJSON_Delete(object);
}

static void list_letter(struct list *list, struct dlq_letter *letter, struct arena *arena)
{
    if (!dlq_filter_match(&list->args->filter, arena, letter)) {
        return;
    }
    *(letter->handled ? &list->handled : &list->waiting) += 1;
    if (list->shown == list->args->limit) {
        return;
    }
    if (list->args->json) {
        put_json(list, letter, arena);
    } else {
        dlq_view_brief(&list->term, letter);
    }
    list->shown++;
    flush_out(&list->out);
}

static bool on_listed(void *arg, const struct bus_record *record)
{
    struct list *list = arg;
    bool handled = dlq_marks_take(&list->marks, record->offset) == NULL;
    if (handled && !list->args->all) {
        return true;
    }
    struct arena *arena = arena_new(DLQ_LETTER_ARENA);
    struct dlq_letter letter;
    dlq_letter_init(&letter, arena, list->stage->name, record, handled);
    list_letter(list, &letter, arena);
    dlq_letter_fini(&letter);
    arena_free(arena);
    return true;
}

static bool list_partition(struct list *list, struct dead *dead, int32_t partition, struct error *err)
{
    bool ok = dlq_open_marks(&list->marks, dead, list->stage->name, partition, err);
    if (ok) {
        int64_t from = list->args->all ? dead_partition(dead, partition)->low
                                       : dlq_first_waiting(&list->marks, dead, partition);
        ok = dead_read(dead, partition, from, on_listed, list, err);
    }
    dlq_marks_fini(&list->marks);
    return ok;
}

static void count_stage(struct list *list)
{
    list->all_waiting += list->waiting;
    list->all_handled += list->handled;
    buf_printf(&list->counts, "%s\"%s\":{\"waiting\":%" PRId64, list->counts.len > 0 ? "," : "",
        list->stage->name, list->waiting);
    if (list->args->all) {
        buf_printf(&list->counts, ",\"handled\":%" PRId64, list->handled);
    }
    buf_putc(&list->counts, '}');
}

static int list_stage(struct list *list, const struct stage *stage)
{
    struct error err = {0};
    list->stage = stage;
    list->waiting = list->handled = 0;
    struct dead *dead = dead_open(list->conf, stage->name, DEAD_READ, &err);
    bool ok = dead != NULL;
    for (int32_t i = 0; ok && i < dead_partition_count(dead); i++) {
        if (dlq_filter_has_partition(&list->args->filter, i)) {
            ok = list_partition(list, dead, i, &err);
        }
    }
    dead_close(dead);
    count_stage(list);
    if (!ok) {
        return cmd_fail(1, "dlq", "%s: %s", stage->name, err.text);
    }
    if (!list->args->json && list->waiting + list->handled > 0) {
        term_printf(&list->term, TERM_BOLD, "%s: %" PRId64 " waiting", stage->name, list->waiting);
        if (list->args->all) {
            term_printf(&list->term, TERM_PLAIN, ", %" PRId64 " handled", list->handled);
        }
        term_newline(&list->term);
    }
    flush_out(&list->out);
    return 0;
}

static void list_end(struct list *list)
{
    if (list->args->json) {
        buf_printf(&list->out, "\n],\"counts\":{%s}}\n", buf_text(&list->counts));
    } else if (list->all_waiting + list->all_handled == 0) {
        buf_puts(&list->out, "no dead letters\n");
    } else if (list->shown < list->all_waiting + list->all_handled) {
        buf_printf(&list->out, "%" PRId64 " of them shown\n", list->shown);
    }
    flush_out(&list->out);
    fflush(stdout);
}

int dlq_list(const struct conf *conf, const struct dlq_args *args)
{
    struct list list = {.conf = conf, .args = args};
    buf_init(&list.out, OUT_MAX);
    buf_init(&list.counts, 4096);
    list.term = term_for(stdout, &list.out);
    if (args->json) {
        buf_puts(&list.out, "{\"letters\":[");
    }
    int code = 0;
    for (size_t i = 0; dlq_stages[i]; i++) {
        if (!args->stage || args->stage == dlq_stages[i]) {
            code |= list_stage(&list, dlq_stages[i]);
        }
    }
    list_end(&list);
    buf_fini(&list.counts);
    buf_fini(&list.out);
    return code;
}

/* ---- show ---- */

struct show {
    const struct dlq_args *args;
    const struct dlq_place *place;
    struct dlq_marks marks;
    bool found;
};

static void show_letter(const struct show *show, struct dlq_letter *letter, struct arena *arena)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = term_for(stdout, &out);
    if (show->args->json) {
        cJSON *object = dlq_letter_json(letter, arena, true);
        char *text = cJSON_Print(object);
        term_escape_json(&out, text);
        buf_putc(&out, '\n');
        cJSON_free(text);
        cJSON_Delete(object);
    } else {
        dlq_view_whole(&term, letter, arena);
    }
    flush_out(&out);
    fflush(stdout);
    buf_fini(&out);
}

static bool on_shown(void *arg, const struct bus_record *record)
{
    struct show *show = arg;
    show->found = record->offset == show->place->offset;
    if (show->found) {
        struct arena *arena = arena_new(DLQ_LETTER_ARENA);
        struct dlq_letter letter;
        bool handled = dlq_marks_take(&show->marks, record->offset) == NULL;
        dlq_letter_init(&letter, arena, show->args->stage->name, record, handled);
        show_letter(show, &letter, arena);
        dlq_letter_fini(&letter);
        arena_free(arena);
    }
    return false;
}

static bool show_place(struct show *show, struct dead *dead, struct error *err)
{
    const struct dlq_place *place = show->place;
    if (place->partition >= dead_partition_count(dead)) {
        return true;
    }
    bool ok = dlq_open_marks(&show->marks, dead, show->args->stage->name, place->partition, err);
    if (ok && place->offset >= dead_partition(dead, place->partition)->low) {
        ok = dead_read(dead, place->partition, place->offset, on_shown, show, err);
    }
    dlq_marks_fini(&show->marks);
    return ok;
}

int dlq_show(const struct conf *conf, const struct dlq_args *args)
{
    struct error err = {0};
    struct show show = {.args = args, .place = args->filter.places};
    struct dead *dead = dead_open(conf, args->stage->name, DEAD_READ, &err);
    bool ok = dead && show_place(&show, dead, &err);
    dead_close(dead);
    if (!ok) {
        return cmd_fail(1, "dlq", "%s", err.text);
    }
    if (!show.found) {
        return cmd_fail(1, "dlq", "%s has no letter %" PRId32 ":%" PRId64 ", or no longer", args->stage->name,
            show.place->partition, show.place->offset);
    }
    return 0;
}

/* ---- the command ---- */

int cmd_dlq(int argc, char **argv)
{
    static int (*const verbs[])(const struct conf *conf, const struct dlq_args *args) = {
        [DLQ_LIST] = dlq_list, [DLQ_SHOW] = dlq_show, [DLQ_REPLAY] = dlq_handle, [DLQ_DISCARD] = dlq_handle};
    struct dlq_args args;
    int code = dlq_args_read(&args, argc, argv, clock_wall_ms());
    if (code != -1) {
        return code;
    }
    struct conf *conf = cmd_load_conf();
    struct error err = {0};
    if (!conf) {
        code = 2;
    } else if (!msg_setup(conf, &err)) {
        code = cmd_fail(2, "dlq", "%s", err.text);
    } else {
        crash_setup("dlq");
        log_setup("dlq", (enum log_level)log_level_parse(conf_text(conf, CONF_LOG_LEVEL)));
        code = verbs[args.verb](conf, &args);
    }
    conf_free(conf);
    dlq_args_fini(&args);
    return code;
}
