/* `helpdesk migrate up|down [N]|status`: the database's schema. */
#include <string.h>

#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "db/migrate.h"

#define NAME "migrate"

static int work(struct db_session *session, const char *verb, int steps)
{
    struct buf report;
    struct error err = {0};
    buf_init(&report, 1024 * 1024);
    bool ok = false;
    if (strcmp(verb, "up") == 0) {
        ok = migrate_up(session, &report, &err);
    } else if (strcmp(verb, "down") == 0) {
        ok = migrate_down(session, steps, &report, &err);
    } else {
        ok = migrate_status(session, &report, &err);
    }
    cmd_print(buf_text(&report));
    buf_fini(&report);
    return ok ? 0 : cmd_fail(1, NAME, "%s", err.text);
}

/* True when the arguments make sense; `steps` is set for down. */
static bool read_arguments(int argc, char **argv, int64_t *steps)
{
    if (argc < 2 || argc > 3) {
        return false;
    }
    if (strcmp(argv[1], "up") == 0 || strcmp(argv[1], "status") == 0) {
        return argc == 2;
    }
    *steps = 1;
    return strcmp(argv[1], "down") == 0 &&
           (argc == 2 || (parse_int64(argv[2], steps) && *steps >= 1 && *steps <= 9999));
}

int cmd_migrate(int argc, char **argv)
{
    int64_t steps = 0;
    if (!read_arguments(argc, argv, &steps)) {
        return cmd_fail(
            2, NAME, "say up, down, down N or status; down without a number takes the last step back");
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    struct error err;
    int code = 1;
    struct db_session *session = database_session(conf, &err);
    if (session != NULL) {
        code = work(session, argv[1], (int)steps);
        db_session_close(session);
    } else {
        code = cmd_fail(err.disposition == ERROR_FATAL ? 2 : 1, NAME, "%s", err.text);
    }
    conf_free(conf);
    return code;
}
