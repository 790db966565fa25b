/* `helpdesk schemas`: what the schema registry has of ours. */
#include <string.h>

#include "bus/registry.h"
#include "cmd/cmd.h"

int cmd_schemas(int argc, char **argv)
{
    bool add = argc == 2 && strcmp(argv[1], "register") == 0;
    if (argc != 2 || (!add && strcmp(argv[1], "check") != 0)) {
        return cmd_fail(2, "schemas", "say check or register");
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    if (conf_text(conf, CONF_SCHEMAS_REGISTRY)[0] == '\0') {
        conf_free(conf);
        return cmd_fail(2, "schemas", "schemas.registry is not set");
    }
    struct buf report;
    buf_init(&report, 64 * 1024);
    struct error err = {0};
    bool ok = registry_report(conf, add, &report, &err);
    cmd_print(buf_text(&report));
    buf_fini(&report);
    conf_free(conf);
    return ok ? 0 : cmd_fail(1, "schemas", "%s", err.text);
}
