/* Makes the writers' schemas known that the settings name. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/parse.h"
#include "msg/codec.h"

static bool pin(char *text, struct error *err)
{
    char *name = strchr(text, '=');
    int64_t id;

    if (name != NULL) {
        *name++ = '\0';
    }
    if (name == NULL || !parse_int64(text, &id) || id < 0 || id > INT32_MAX) {
        return error_set(err, ERROR_FATAL, "settings", "schemas.confluent-ids: must be ID=NAME,ID=NAME,...");
    }
    return msg_pin_confluent_id((int32_t)id, name, err);
}

static bool pin_all(const char *list, struct error *err)
{
    char *copy = xstrdup(list), *next = copy;
    bool ok = true;

    while (ok && next != NULL && *next != '\0') {
        char *one = next;
        next = strchr(one, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        ok = pin(one, err);
    }
    free(copy);
    return ok;
}

bool msg_setup(const struct conf *conf, struct error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool done;
    const char *folder = conf_text(conf, CONF_SCHEMAS_FOLDER);

    pthread_mutex_lock(&lock);
    if (!done) {
        done = (*folder == '\0' || msg_load_schemas(folder, err)) &&
               pin_all(conf_text(conf, CONF_SCHEMAS_CONFLUENT_IDS), err);
    }
    bool ok = done;
    pthread_mutex_unlock(&lock);
    return ok;
}
