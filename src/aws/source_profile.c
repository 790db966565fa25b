/* Credentials that a profile of the SDKs' files holds. What a profile may say besides them (roles to assume,
 * programs to run, single sign-on) is refused by its name, never passed over. */
#include "aws/endpoint.h"
#include "aws/profile.h"
#include "aws/source.h"

/* True when one of the files has it: then the fetch ended. */
static bool refuse(struct aws_fetch *fetch, const struct aws_profile *profile, enum aws_profile_key key)
{
    if (!profile->values[AWS_PROFILE_SHARED][key] && !profile->values[AWS_PROFILE_CONFIG][key]) {
        return false;
    }
    aws_fetch_fail(fetch, AWS_MISSING,
        arena_printf(fetch->arena,
            "profile %s has %s, which is not supported: give it aws_access_key_id and "
            "aws_secret_access_key, or use web identity, a container's or an instance's role",
            profile->name, aws_profile_key_name(key)));
    return true;
}

/* True when the file has a key id: then the fetch ended. */
static bool take(struct aws_fetch *fetch, const struct aws_profile *profile, enum aws_profile_file file)
{
    const char *const *values = profile->values[file];
    const struct aws_found found = {.access_key_id = values[AWS_PROFILE_ACCESS_KEY_ID],
        .secret_access_key = values[AWS_PROFILE_SECRET_ACCESS_KEY],
        .session_token = values[AWS_PROFILE_SESSION_TOKEN]};
    if (!found.access_key_id) {
        return false;
    }
    if (!found.secret_access_key) {
        aws_fetch_fail(fetch, AWS_MISSING,
            arena_printf(fetch->arena, "profile %s of %.200s has no aws_secret_access_key", profile->name,
                profile->paths[file]));
        return true;
    }
    aws_fetch_found(fetch, &found);
    return true;
}

static bool start(struct aws_fetch *fetch)
{
    struct aws_profile profile;
    struct error err = {0};
    if (!aws_profile_read(fetch->arena, &profile, &err)) {
        aws_fetch_fail(fetch, AWS_MISSING, err.text);
        return true;
    }
    if (!profile.there && aws_env("AWS_PROFILE")) {
        aws_fetch_fail(fetch, AWS_MISSING,
            arena_printf(fetch->arena, "the profile %s of AWS_PROFILE is neither in %.120s nor in %.120s",
                profile.name,
                profile.paths[AWS_PROFILE_SHARED] ? profile.paths[AWS_PROFILE_SHARED] : "a home folder",
                profile.paths[AWS_PROFILE_CONFIG] ? profile.paths[AWS_PROFILE_CONFIG] : "a home folder"));
        return true;
    }
    return refuse(fetch, &profile, AWS_PROFILE_ROLE_ARN) ||
           refuse(fetch, &profile, AWS_PROFILE_SSO_SESSION) ||
           refuse(fetch, &profile, AWS_PROFILE_SSO_START_URL) || take(fetch, &profile, AWS_PROFILE_SHARED) ||
           refuse(fetch, &profile, AWS_PROFILE_CREDENTIAL_PROCESS) ||
           take(fetch, &profile, AWS_PROFILE_CONFIG);
}

const struct aws_source aws_source_profile = {.name = "profile", .start = start};
