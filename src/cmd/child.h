/* A role run as a child process of `helpdesk up`. */
#ifndef HELPDESK_CMD_CHILD_H
#define HELPDESK_CMD_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_ENV_MAX 8

struct child {
    char role[32];     /* the subcommand */
    char instance[48]; /* "classifier-1" */
    int stop_order;    /* lower stops first */
    pid_t pid;         /* 0: not running */
    int restarts;
    int64_t start_at;     /* monotonic ms: when to start (again) */
    int64_t signalled_at; /* monotonic ms of the SIGTERM, 0: none */
    bool ready;
};

/* "NAME=value" settings for one child, over this process's own environment. */
struct child_env {
    char entries[CHILD_ENV_MAX][160];
    int count;
};
void child_env_add(struct child_env *env, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Starts this program again as `child->role`, in its own process group, ended with us. `output`: NULL, or
 * receives the read end of the child's standard output. False and errno on failure. */
bool child_start(struct child *child, const struct child_env *env, int *output);
/* Asks it to drain (SIGTERM); after `grace_ms` kills it. Call again until it is gone. */
void child_stop(struct child *child, int64_t now, int64_t grace_ms);
/* True once when the child has ended since the last call; logs how. */
bool child_reap(struct child *child);

#endif
