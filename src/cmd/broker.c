/* The role that is the embedded broker. */
#include "bus/broker.h"

#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/role.h"

static void broker_stop(void *arg)
{
    struct role *role = arg;
    loop_stop(role->loop, 0);
}

int cmd_broker(int argc, char **argv)
{
    (void)argv;
    struct role role;
    int code = role_open(&role, "broker", argc);
    if (code != 0) {
        return code;
    }
    char address[64];
    struct error err = {0};
    struct broker *broker = broker_new(role.conf, address, sizeof address, &err);
    if (broker == NULL) {
        return role_fail(&role, &err);
    }
    printf("%s\n", address);
    fflush(stdout);
    code = role_run(&role, broker_stop, &role);
    broker_free(broker);
    role_close(&role);
    return code;
}
