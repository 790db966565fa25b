/* The role that is the HTTP API. */
#include "cmd/cmd.h"
#include "cmd/role.h"
#include "gateway/gateway.h"

struct gateway_role {
    struct role role;
    struct gateway *gateway;
};

static void gateway_drained(void *arg)
{
    struct gateway_role *self = arg;
    loop_stop(self->role.loop, 0);
}

static void gateway_stop(void *arg)
{
    struct gateway_role *self = arg;
    gateway_drain(self->gateway, gateway_drained, self);
}

int cmd_gateway(int argc, char **argv)
{
    (void)argv;
    struct gateway_role self = {0};
    int code = role_open(&self.role, "gateway", argc);
    if (code != 0) {
        return code;
    }
    struct error err = {0};
    if (!role_open_registry(&self.role, gateway_topics, &err) || !role_open_db(&self.role, &err)) {
        return role_fail(&self.role, &err);
    }
    self.gateway = gateway_new(self.role.loop, self.role.conf, self.role.db, &err);
    if (self.gateway == NULL) {
        return role_fail(&self.role, &err);
    }
    role_publish_address(
        &self.role, "http", conf_text(self.role.conf, CONF_GATEWAY_HOST), gateway_port(self.gateway));
    code = role_run(&self.role, gateway_stop, &self);
    gateway_free(self.gateway);
    role_close(&self.role);
    return code;
}
