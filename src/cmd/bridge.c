/* The role that brings queues to Kafka. */
#include "bridge/bridge.h"

#include "cmd/cmd.h"
#include "cmd/role.h"

struct bridge_role {
    struct role role;
    struct bridge *bridge;
};

static void bridge_drained(void *arg)
{
    struct bridge_role *self = arg;
    loop_stop(self->role.loop, 0);
}

static void bridge_stop(void *arg)
{
    struct bridge_role *self = arg;
    bridge_drain(self->bridge, bridge_drained, self);
}

int cmd_bridge(int argc, char **argv)
{
    (void)argv;
    struct bridge_role self = {0};
    int code = role_open(&self.role, "bridge", argc);
    if (code != 0) {
        return code;
    }
    struct error err = {0};
    if (!role_open_registry(&self.role, bridge_topics, &err)) {
        return role_fail(&self.role, &err);
    }
    self.bridge = bridge_new(self.role.loop, self.role.conf, &err);
    if (self.bridge == NULL) {
        return role_fail(&self.role, &err);
    }
    code = role_run(&self.role, bridge_stop, &self);
    bridge_free(self.bridge);
    role_close(&self.role);
    return code;
}
