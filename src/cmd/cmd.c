/* What all subcommands share: loading settings, saying what went wrong. */
#include "cmd/cmd.h"

#include <stdarg.h>
#include <stdio.h>

struct conf *cmd_load_conf(void)
{
    struct buf problems;
    buf_init(&problems, 64 * 1024);
    struct conf *conf = conf_load(NULL, &problems);
    if (conf == NULL) {
        fputs(buf_text(&problems), stderr);
    }
    buf_fini(&problems);
    return conf;
}

int cmd_fail(int code, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "helpdesk %s: ", name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

void cmd_print(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}
