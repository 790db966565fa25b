/* What all subcommands share: loading settings, saying what went wrong. */
#include "cmd/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool cmd_gateway_url(const char *given, char url[CMD_URL_SIZE])
{
    if (given != NULL) {
        snprintf(url, CMD_URL_SIZE, "%s", given);
    } else {
        struct conf *conf = cmd_load_conf();
        if (conf == NULL) {
            return false;
        }
        const char *host = conf_text(conf, CONF_GATEWAY_HOST);
        bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
        bool bare = strchr(host, ':') != NULL && !any; /* IPv6 */
        snprintf(url, CMD_URL_SIZE, "http://%s%s%s:%d", bare ? "[" : "", any ? "127.0.0.1" : host,
            bare ? "]" : "", (int)conf_int(conf, CONF_GATEWAY_PORT));
        conf_free(conf);
    }
    for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--) {
        url[len - 1] = '\0';
    }
    return true;
}
