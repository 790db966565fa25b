/* For tests: runs avro_peer.py, and reads the files that the tests share. */
#ifndef HELPDESK_TESTS_AVRO_PEER_H
#define HELPDESK_TESTS_AVRO_PEER_H

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/json.h"

#define PEER_SCHEMA SOURCE_DIR "/schemas/avro/ticket_event.avsc"
#define PEER_HISTORY SOURCE_DIR "/schemas/avro/history/ticket_event.1.avsc"
#define PEER_NEXT SOURCE_DIR "/tests/data/schemas/ticket_event.next.avsc"

static inline struct buf peer_read(const char *path)
{
    struct buf text;
    char chunk[4096];
    size_t got;

    buf_init(&text, 4 << 20);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(&text, chunk, got);
    fclose(file);
    return text;
}

static inline cJSON *peer_read_json(const char *path)
{
    struct buf text = peer_read(path);
    struct error err = {.disposition = ERROR_NONE};
    cJSON *json = json_parse(buf_text(&text), text.len, &err);

    assert_string_equal(err.text, "");
    buf_fini(&text);
    return json;
}

/* Runs avro_peer.py with `input` and returns what it prints. */
static inline struct buf peer_run(
    const char *command, const char *writer, const char *reader, const void *input, size_t len)
{
    char in[] = "/tmp/hd-peer-in-XXXXXX", out[] = "/tmp/hd-peer-out-XXXXXX";
    char python[] = "/usr/bin/python3", script[] = SOURCE_DIR "/tests/unit/avro_peer.py";
    char *argv[] = {python, script, (char *)command, (char *)writer, (char *)reader, NULL};
    posix_spawn_file_actions_t actions;
    extern char **environ;
    pid_t child;
    int status;

    int in_fd = mkstemp(in), out_fd = mkstemp(out);
    assert_true(in_fd >= 0 && out_fd >= 0);
    assert_int_equal(write(in_fd, input, len), len);
    lseek(in_fd, 0, SEEK_SET);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_fd, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    assert_int_equal(posix_spawn(&child, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(in_fd);
    close(out_fd);
    struct buf result = peer_read(out);
    unlink(in);
    unlink(out);
    return result;
}

/* `json` as the peer encodes it, behind the single-object head with `fingerprint`. Deletes `json`. */
static inline struct buf peer_encode(const char *schema, uint64_t fingerprint, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    struct buf datum = peer_run("encode", schema, NULL, text, strlen(text)), framed;

    buf_init(&framed, 4 << 20);
    buf_append(&framed, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++)
        buf_putc(&framed, (char)(fingerprint >> (8 * i)));
    buf_append(&framed, datum.data, datum.len);
    buf_fini(&datum);
    cJSON_free(text);
    cJSON_Delete(json);
    return framed;
}

static inline void peer_assert_same(const cJSON *a, const cJSON *b)
{
    char *a_text = cJSON_Print(a), *b_text = cJSON_Print(b);

    if (!cJSON_Compare(a, b, 1))
        assert_string_equal(a_text, b_text);
    cJSON_free(a_text);
    cJSON_free(b_text);
}

#endif
