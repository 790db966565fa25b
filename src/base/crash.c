/* Named places at which a fault test kills the process. */
#include "base/crash.h"

#ifdef HELPDESK_FAULTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *crash_role = "";
static const char *crash_folder;

void crash_setup(const char *role)
{
    crash_role = role;
    crash_folder = getenv("HELPDESK_CRASH_DIR");
}

void crash_point(const char *name)
{
    char path[512];
    if (!crash_folder) {
        return;
    }
    snprintf(path, sizeof(path), "%s/%s.%s", crash_folder, crash_role, name);
    if (unlink(path) == 0) { /* of several processes only one finds it */
        kill(getpid(), SIGKILL);
    }
}
#endif
