/* `helpdesk topics`: what the broker has against what the table says. */
#include "bus/topics.h"

#include <string.h>

#include "cmd/cmd.h"

int cmd_topics(int argc, char **argv)
{
    static const struct {
        const char *verb;
        bool (*run)(const struct conf *conf, struct buf *report, struct error *err);
    } verbs[] = {{"plan", topics_plan}, {"apply", topics_apply}, {"check", topics_check}};

    for (size_t i = 0; argc == 2 && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].verb) != 0) {
            continue;
        }
        struct conf *conf = cmd_load_conf();
        if (conf == NULL) {
            return 2;
        }
        struct buf report;
        buf_init(&report, 1024 * 1024);
        struct error err = {0};
        bool ok = verbs[i].run(conf, &report, &err);
        cmd_print(buf_text(&report));
        buf_fini(&report);
        conf_free(conf);
        return ok ? 0 : cmd_fail(1, "topics", "%s", err.text);
    }
    return cmd_fail(2, "topics", "say plan, apply or check");
}
