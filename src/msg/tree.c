/* Makes, copies and reaches into records. */
#include "msg/tree.h"

#include <string.h>
#include "msg/codec.h"

static bool is_pointer(const struct msg_field *field)
{
    return field->array || (field->nullable && field->shape == MSG_SHAPE_RECORD);
}

const void *tree_pointer(const struct msg_field *field, const void *record)
{
    const void *pointer;

    memcpy(&pointer, tree_at_const(record, field->offset), sizeof pointer);
    return pointer;
}

size_t tree_count(const struct msg_field *field, const void *record)
{
    if (field->array) {
        return *(const size_t *)tree_at_const(record, field->beside);
    }
    if (!field->nullable) {
        return 1;
    }
    if (field->beside != 0) {
        return *(const bool *)tree_at_const(record, field->beside) ? 1 : 0;
    }
    return tree_pointer(field, record) != NULL ? 1 : 0;
}

const void *tree_value(const struct msg_field *field, const void *record, size_t index)
{
    if (is_pointer(field)) {
        return (const char *)tree_pointer(field, record) + index * field->size;
    }
    return tree_at_const(record, field->offset);
}

void *tree_room(const struct msg_field *field, struct arena *arena, void *record, size_t count)
{
    void *values = tree_at(record, field->offset);

    if (is_pointer(field)) {
        void *room = count > 0 ? arena_array(arena, count, field->size) : NULL;
        memcpy(values, &room, sizeof room);
        values = room;
    }
    if (field->array) {
        *(size_t *)tree_at(record, field->beside) = count;
    } else if (field->beside != 0) {
        *(bool *)tree_at(record, field->beside) = true;
    }
    return values;
}

void tree_default(const struct msg_field *field, void *record)
{
    void *value = tree_at(record, field->offset);

    if (field->array || field->nullable) {
        return;
    }
    switch (field->shape) {
    case MSG_SHAPE_STRING:
        *(const char **)value = field->text != NULL ? field->text : "";
        break;
    case MSG_SHAPE_BOOL:
        *(bool *)value = field->integer != 0;
        break;
    case MSG_SHAPE_INT:
        *(int32_t *)value = (int32_t)field->integer;
        break;
    case MSG_SHAPE_LONG:
        *(int64_t *)value = field->integer;
        break;
    case MSG_SHAPE_DOUBLE:
        *(double *)value = field->real;
        break;
    case MSG_SHAPE_ENUM:
        *(int *)value = (int)field->integer;
        break;
    case MSG_SHAPE_RECORD:
        tree_defaults(field->record, value);
        break;
    }
}

void tree_defaults(const struct msg_type *type, void *record)
{
    for (size_t i = 0; i < type->field_count; i++) {
        tree_default(&type->fields[i], record);
    }
}

void *msg_new(const struct msg_type *type, struct arena *arena)
{
    void *record = arena_alloc(arena, type->size);

    tree_defaults(type, record);
    return record;
}

static void copy_fields(const struct msg_type *type, struct arena *arena, const void *from, void *to)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct msg_field *field = &type->fields[i];
        size_t count = tree_count(field, from);
        if (count == 0) {
            continue;
        }
        char *room = tree_room(field, arena, to, count);
        for (size_t k = 0; k < count; k++) {
            const void *value = tree_value(field, from, k);
            if (field->shape == MSG_SHAPE_STRING) {
                *(char **)(room + k * field->size) = arena_strdup(arena, *(const char *const *)value);
            } else if (field->shape == MSG_SHAPE_RECORD) {
                copy_fields(field->record, arena, value, room + k * field->size);
            } else {
                memcpy(room + k * field->size, value, field->size);
            }
        }
    }
}

void *msg_copy(const struct msg_type *type, struct arena *arena, const void *record)
{
    void *copy = arena_alloc(arena, type->size);

    copy_fields(type, arena, record, copy);
    return copy;
}

const char *msg_enum_symbol(const struct msg_enum *enumeration, int value)
{
    return value >= 0 && value < enumeration->count ? enumeration->symbols[value] : NULL;
}

int msg_enum_find(const struct msg_enum *enumeration, const char *symbol)
{
    for (int i = 0; symbol != NULL && i < enumeration->count; i++) {
        if (strcmp(enumeration->symbols[i], symbol) == 0) {
            return i;
        }
    }
    return -1;
}
