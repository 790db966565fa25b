/* The subcommands of the program. Each takes its own argv (argv[0] is its name) and returns the exit code: 0
 * done, 1 failed, 2 usage or settings. */
#ifndef HELPDESK_CMD_CMD_H
#define HELPDESK_CMD_CMD_H

#include "conf/conf.h"

struct cmd {
    const char *name;
    const char *usage;   /* what follows the name; "" for none */
    const char *summary; /* one line for --help */
    int (*run)(int argc, char **argv);
    bool has_manual; /* takes --help itself */
};

/* The roles: run until SIGTERM. */
int cmd_gateway(int argc, char **argv);
int cmd_classifier(int argc, char **argv);
int cmd_retriever(int argc, char **argv);
int cmd_generator(int argc, char **argv);
int cmd_kb_sync(int argc, char **argv);
int cmd_logger(int argc, char **argv);
int cmd_bridge(int argc, char **argv);
int cmd_broker(int argc, char **argv);
int cmd_up(int argc, char **argv);

/* The tools. */
int cmd_migrate(int argc, char **argv);
int cmd_topics(int argc, char **argv);
int cmd_schemas(int argc, char **argv);
int cmd_dlq(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_evaluate(int argc, char **argv);
int cmd_cost(int argc, char **argv);
int cmd_kb(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_try(int argc, char **argv);
int cmd_parse_worker(int argc, char **argv);
int cmd_settings(int argc, char **argv);

/* Settings for a command: conf_load, and every problem on standard error. NULL: exit with 2. */
struct conf *cmd_load_conf(void);

/* "helpdesk NAME: MESSAGE" on standard error; returns `code`, so that a command can `return cmd_fail(...)`.
 */
int cmd_fail(int code, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The address of a gateway without a slash at its end: `given`, or with NULL the one of the settings. False:
 * these have problems, said on standard error. */
#define CMD_URL_SIZE 1024
bool cmd_gateway_url(const char *given, char url[CMD_URL_SIZE]);

/* Writes all of `text` to standard output. */
void cmd_print(const char *text);

#endif
