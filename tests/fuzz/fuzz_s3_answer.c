/* Fuzz target: what an S3 server lists, and its errors. What is taken of a list must be whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct s3_list *list)
{
    if (list->count > S3_PAGE_OBJECTS || (list->next && !*list->next)) {
        abort();
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct blob_object *object = &list->objects[i];
        if (!object->key[0] || !object->etag || object->size < 0 || strlen(object->key) > S3_LIST_MAX) {
            abort();
        }
    }
}

/* The first byte says whether a prefix was asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct arena *arena = arena_new(0);
    char *body = malloc(size); /* its end is where a reader that goes too far is caught */
    if (body == NULL) {
        abort();
    }
    memcpy(body, data + 1, size - 1);
    body[size - 1] = '\0';
    struct s3_list list;
    struct error err = {0};
    if (s3_answer_list(arena, body, size - 1, data[0] & 1 ? "p/" : "", &list, &err)) {
        check_list(&list);
    } else if (strcmp(err.code, "blob_unavailable") != 0) {
        abort();
    }
    char code[S3_CODE_SIZE];
    s3_answer_code(body, size - 1, code);
    if (strlen(code) >= S3_CODE_SIZE || strpbrk(code, "\r\n\"<> ")) {
        abort();
    }
    free(body);
    arena_free(arena);
    return 0;
}
