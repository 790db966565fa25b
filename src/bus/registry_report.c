/* What the registry has of our schemas, for commands. */
#include "bus/registry.h"

#include <inttypes.h>
#include <string.h>
#include "bus/registry_subject.h"
#include "msg/codec.h"

/* One subject's line. `missing`: our schema is not there, and might be. False: `err`. */
static bool report_subject(const struct registry_server *server, const char *name,
    const struct msg_type *type, bool add, bool *missing, struct buf *report, struct error *err)
{
    const struct registry_cache nothing_kept = {.folder = ""};
    int64_t found = -1;
    uint32_t id = 0;

    bool ok = registry_find_schema(server, name, msg_schema(type), &found, err);
    *missing = ok && found < 0 && !add;
    if (*missing) {
        ok = registry_try_schema(server, name, msg_schema(type), err);
    } else if (ok) {
        ok = registry_subject_find(server, &nothing_kept, name, type, add, &id, err);
    }
    if (!ok) {
        buf_printf(report, "%-44s %s\n", name, err->text);
    } else if (*missing) {
        buf_printf(report, "%-44s missing\n", name);
    } else {
        buf_printf(report, "%-44s id %" PRIu32 "%s\n", name, id, found < 0 ? ", registered now" : "");
    }
    return ok;
}

static bool report_all(const struct registry_server *server, const struct conf *conf, bool add,
    struct buf *report, struct error *err)
{
    bool needed = strcmp(conf_text(conf, CONF_SCHEMAS_FRAMING), "confluent") == 0 &&
                  !conf_bool(conf, CONF_SCHEMAS_REGISTER);
    size_t wrong = 0;
    size_t lacking = 0;

    for (size_t i = 0; i < REGISTRY_SUBJECTS; i++) {
        char name[SUBJECT_NAME_SIZE];
        struct error why = {0};
        bool missing;
        registry_subject_name(conf, &registry_subjects[i], name);
        if (report_subject(server, name, registry_subjects[i].type, add, &missing, report, &why)) {
            lacking += missing;
            continue;
        }
        if (why.disposition == ERROR_RETRY) { /* the others would wait for it, too */
            return error_set(err, why.disposition, why.code, "%s", why.text);
        }
        if (wrong++ == 0) {
            error_set(err, why.disposition, why.code, "%s", why.text);
        }
    }
    if (wrong == 0 && lacking > 0 && needed) {
        return error_set(err, ERROR_FATAL, "schema_unregistered",
            "the registry lacks our schema under %zu subjects: run `helpdesk schemas register`, or set "
            "schemas.register=true",
            lacking);
    }
    return wrong == 0;
}

bool registry_report(const struct conf *conf, bool add, struct buf *report, struct error *err)
{
    struct registry_server server;

    if (!registry_check_settings(conf, err)) {
        return false;
    }
    bool ok = registry_server_init(&server, conf, err) && report_all(&server, conf, add, report, err);
    registry_server_fini(&server);
    return ok;
}
