/* `helpdesk settings`: the table of settings as sample file, manual, or with the values in force. */
#include <string.h>

#include "cmd/cmd.h"

int cmd_settings(int argc, char **argv)
{
    if (argc != 2) {
        return cmd_fail(2, "settings", "say sample, help or show");
    }
    struct buf out;
    buf_init(&out, 1024 * 1024);
    int code = 0;
    if (strcmp(argv[1], "sample") == 0) {
        conf_render_sample(&out);
    } else if (strcmp(argv[1], "help") == 0) {
        conf_render_help(&out);
    } else if (strcmp(argv[1], "show") == 0) {
        struct conf *conf = cmd_load_conf();
        if (conf != NULL) {
            conf_render_current(conf, &out);
            conf_free(conf);
        } else {
            code = 2;
        }
    } else {
        code = cmd_fail(2, "settings", "no \"%s\"; say sample, help or show", argv[1]);
    }
    cmd_print(buf_text(&out));
    buf_fini(&out);
    return code;
}
