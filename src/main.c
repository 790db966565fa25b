/* The program: one subcommand per role and tool, `helpdesk [--config FILE] COMMAND`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cmd/cmd.h"
#include "conf/conf.h"

static const struct cmd commands[] = {
    {"up", "[--workers N] [--gateways N]",
        "run all roles as child processes, around the embedded broker by default", cmd_up, false},
    {"gateway", "", "role: the HTTP API", cmd_gateway, false},
    {"classifier", "", "role: category, priority, department, sentiment", cmd_classifier, false},
    {"retriever", "", "role: passages, similar tickets, customer, orders, rules", cmd_retriever, false},
    {"generator", "", "role: cited drafts and what is unsafe in them", cmd_generator, false},
    {"kb-sync", "", "role: keeps the knowledge base equal to its source", cmd_kb_sync, false},
    {"logger", "", "role: writes everything that happens to PostgreSQL", cmd_logger, false},
    {"bridge", "", "role: brings what lies in SQS queues to Kafka: notifications of buckets, tickets",
        cmd_bridge, false},
    {"broker", "", "role: the embedded broker, for trial only; prints its address", cmd_broker, false},
    {"migrate", "up | down [N] | status", "the database's schema", cmd_migrate, false},
    {"topics", "plan | apply | check", "the topics on the broker", cmd_topics, false},
    {"schemas", "check | register", "our schemas in the schema registry", cmd_schemas, false},
    {"dlq", "list | show | replay | discard ...", "dead letters: see them, send them again, once", cmd_dlq,
        true},
    {"check", "", "settings, the files and sources they name, and every server", cmd_check, false},
    {"import", "customers | orders | tickets FILE", "load records from CSV or JSON lines", cmd_import, true},
    {"train", "[--from FILE] [--feedback] [--out FILE]", "the local classifier, from labelled tickets",
        cmd_train, true},
    {"evaluate", "--tickets FILE --kb DIR [options]",
        "how well settings do on past tickets, and at what cost; answers nobody", cmd_evaluate, true},
    {"cost", "[--days N] [--tenant T] [--by WHAT] [--json]",
        "what models have cost, and what is left of today's budgets", cmd_cost, true},
    {"kb", "COMMAND [options]", "the knowledge base: what it holds, what changed, sync, rollback", cmd_kb,
        true},
    {"ask", "[options] SUBJECT TEXT", "ask a running gateway and render its answer", cmd_ask, true},
    {"parse-worker", "", "reads documents for kb-sync, which starts it", cmd_parse_worker, false},
    {"try", "STAGE < record.json", "run one stage on one record, no broker", cmd_try, false},
    {"settings", "sample | help | show", "a sample file, the manual, or what is in force", cmd_settings,
        false},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static int run(const struct cmd *command, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0 && !command->has_manual) {
        printf("helpdesk %s%s%s\n\n%s\n", command->name, command->usage[0] ? " " : "", command->usage,
            command->summary);
        return 0;
    }
    return command->run(argc, argv);
}

static void print_help(FILE *out)
{
    fputs("helpdesk " HELPDESK_VERSION ": answers support tickets\n\nhelpdesk [--config FILE] COMMAND\n\n",
        out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", commands[i].name, commands[i].usage);
        fprintf(out, "  %-42s %s\n", call, commands[i].summary);
    }
    struct buf settings;
    buf_init(&settings, 1024 * 1024);
    conf_render_help(&settings);
    fprintf(out, "\nSettings (environment over file over default):\n\n%s", buf_text(&settings));
    buf_fini(&settings);
}

int main(int argc, char **argv)
{
    alloc_setup();
    int at = 1;
    if (at + 1 < argc && strcmp(argv[at], "--config") == 0) {
        setenv("HELPDESK_CONFIG", argv[at + 1], 1);
        at += 2;
    }
    if (at >= argc) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[at], "--version") == 0) {
        puts("helpdesk " HELPDESK_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[at], commands[i].name) == 0) {
            return run(&commands[i], argc - at, argv + at);
        }
    }
    fprintf(stderr, "helpdesk: no command \"%s\"; `helpdesk --help` lists them\n", argv[at]);
    return 2;
}
