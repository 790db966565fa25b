/* Reading one profile of the SDKs' files, which are INI (libinih, behind conf). */
#include "aws/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "aws/endpoint.h"
#include "conf/file.h"

#define SECTION_MAX 49 /* libinih cuts longer ones */

static const char *const key_names[AWS_PROFILE_KEYS] = {
    [AWS_PROFILE_ACCESS_KEY_ID] = "aws_access_key_id",
    [AWS_PROFILE_SECRET_ACCESS_KEY] = "aws_secret_access_key",
    [AWS_PROFILE_SESSION_TOKEN] = "aws_session_token",
    [AWS_PROFILE_REGION] = "region",
    [AWS_PROFILE_ROLE_ARN] = "role_arn",
    [AWS_PROFILE_SSO_SESSION] = "sso_session",
    [AWS_PROFILE_SSO_START_URL] = "sso_start_url",
    [AWS_PROFILE_CREDENTIAL_PROCESS] = "credential_process",
};

struct reader {
    struct arena *arena;
    struct aws_profile *profile;
    enum aws_profile_file file;
};

const char *aws_profile_key_name(enum aws_profile_key key)
{
    return key_names[key];
}

/* The key when `name` is "section.key" of the profile wanted; else NULL. In the config file a profile's
 * section is "profile NAME", but for the default one. */
static const char *key_of(const struct reader *reader, const char *name)
{
    const char *profile = reader->profile->name;
    if (reader->file == AWS_PROFILE_CONFIG) {
        bool prefixed = strncmp(name, "profile ", 8) == 0;
        if (!prefixed && strcmp(profile, "default") != 0) {
            return NULL;
        }
        name += prefixed ? 8 : 0;
    }
    size_t len = strlen(profile);
    bool ours = strncmp(name, profile, len) == 0 && name[len] == '.' && !strchr(name + len + 1, '.');
    return ours ? name + len + 1 : NULL;
}

static void take_pair(void *arg, const char *where, const char *name, const char *value)
{
    (void)where;
    const struct reader *reader = arg;
    const char *key = key_of(reader, name);
    if (!key) {
        return;
    }
    reader->profile->there = true;
    for (size_t i = 0; i < AWS_PROFILE_KEYS; i++) {
        if (strcasecmp(key, key_names[i]) == 0) {
            reader->profile->values[reader->file][i] = *value ? arena_strdup(reader->arena, value) : NULL;
        }
    }
}

/* What the variable says, else the file in the home folder; NULL when there is no home. "~/" is the home. */
static const char *path_of(struct arena *arena, const char *variable, const char *file)
{
    const char *home = aws_env("HOME");
    const char *path = aws_env(variable);
    if (path && (path[0] != '~' || path[1] != '/')) {
        return path;
    }
    return home ? arena_printf(arena, "%s/%s", home, path ? path + 2 : file) : NULL;
}

static bool read_file(struct reader *reader, struct error *err)
{
    const char *path = reader->profile->paths[reader->file];
    if (!path || (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))) {
        return true;
    }
    struct buf problems;
    buf_init(&problems, 4096);
    conf_file_read(path, take_pair, reader, &problems);
    bool ok = problems.len == 0 && !problems.failed;
    if (!ok) {
        const char *text = buf_text(&problems);
        error_set(err, ERROR_FATAL, "aws_profile", "%.*s", (int)strcspn(text, "\n"), text);
    }
    buf_fini(&problems);
    return ok;
}

bool aws_profile_read(struct arena *arena, struct aws_profile *profile, struct error *err)
{
    const char *named = aws_env("AWS_PROFILE");
    *profile = (struct aws_profile){.name = named ? named : "default"};
    if (strlen(profile->name) + strlen("profile ") > SECTION_MAX) {
        return error_set(err, ERROR_FATAL, "aws_profile",
            "the name in AWS_PROFILE is longer than %zu characters", SECTION_MAX - strlen("profile "));
    }
    profile->paths[AWS_PROFILE_SHARED] = path_of(arena, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    profile->paths[AWS_PROFILE_CONFIG] = path_of(arena, "AWS_CONFIG_FILE", ".aws/config");
    for (enum aws_profile_file file = 0; file < AWS_PROFILE_FILES; file++) {
        struct reader reader = {.arena = arena, .profile = profile, .file = file};
        if (!read_file(&reader, err)) {
            return false;
        }
    }
    return true;
}
