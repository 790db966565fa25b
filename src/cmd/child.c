/* Starting, stopping and reaping the child processes of `helpdesk up`. */
#include "cmd/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

void child_env_add(struct child_env *env, const char *name, const char *format, ...)
{
    char value[128];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (env->count < CHILD_ENV_MAX) {
        snprintf(env->entries[env->count++], sizeof env->entries[0], "%s=%s", name, value);
    }
}

static void child_exec(const struct child *child, struct child_env *env, pid_t parent, int output)
{
    setpgid(0, 0); /* Ctrl-C reaches `up` alone, which then stops its children in order */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
    }
    for (int i = 0; i < env->count; i++) {
        putenv(env->entries[i]);
    }
    setenv("HELPDESK_INSTANCE", child->instance, 1);
    execl("/proc/self/exe", "helpdesk", child->role, (char *)NULL);
    _exit(127);
}

bool child_start(struct child *child, const struct child_env *env, int *output)
{
    int pipes[2] = {-1, -1};
    if (output != NULL && pipe2(pipes, O_CLOEXEC) != 0) {
        return false;
    }
    struct child_env own = *env;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        child_exec(child, &own, parent, pipes[1]);
    }
    if (output != NULL) {
        close(pipes[1]);
        if (pid < 0) {
            close(pipes[0]);
        } else {
            *output = pipes[0];
        }
    }
    if (pid < 0) {
        return false;
    }
    child->pid = pid;
    child->signalled_at = 0;
    child->ready = false;
    log_info("child started", LOG_STR("instance", child->instance), LOG_INT("pid", pid));
    return true;
}

void child_stop(struct child *child, int64_t now, int64_t grace_ms)
{
    if (child->pid == 0) {
        return;
    }
    if (child->signalled_at == 0) {
        child->signalled_at = now;
        kill(child->pid, SIGTERM);
    } else if (now - child->signalled_at > grace_ms) {
        log_warn("child did not stop in time", LOG_STR("instance", child->instance));
        kill(child->pid, SIGKILL);
    }
}

bool child_reap(struct child *child)
{
    int status;
    if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid) {
        return false;
    }
    if (WIFSIGNALED(status)) {
        log_warn(
            "child was killed", LOG_STR("instance", child->instance), LOG_INT("signal", WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0 || child->signalled_at == 0) {
        log_warn("child ended", LOG_STR("instance", child->instance), LOG_INT("code", WEXITSTATUS(status)));
    }
    child->pid = 0;
    child->ready = false;
    return true;
}
