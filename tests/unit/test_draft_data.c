/* What a language model gets to read of a ticket: no more than it needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "model/draft_data.h"

struct fixture {
    struct arena *arena;
    struct msg_ticket *ticket;
    struct msg_context *context;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(0);
    f->ticket = msg_new(&msg_ticket, f->arena);
    f->ticket->subject = "How long does the refund take?";
    f->ticket->description = "How many working days?";
    f->ticket->customer_external_id = "C-1";
    f->context = msg_new(&msg_context, f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    free(f);
    return 0;
}

static void tells_nothing_of_the_customer(void **state)
{
    struct fixture *f = *state;
    struct draft_request request = {.arena = f->arena, .ticket = f->ticket, .context = f->context};
    bool cut;
    f->context->customer = msg_new(&msg_customer_context, f->arena);
    f->context->customer->name = "Anna O'Neil";
    f->context->customer->email = "anna@example.com";
    const char *data = draft_data(f->arena, &request, &cut);
    assert_null(strstr(data, "standard"));
    assert_null(strstr(data, "Anna"));
    assert_null(strstr(data, "anna@"));
}

static void cuts_what_is_too_long(void **state)
{
    struct fixture *f = *state;
    size_t size = DRAFT_DATA_TEXT_MAX + 100;
    char *text = arena_alloc(f->arena, size + 1);
    memset(text, 'x', size);
    struct msg_message messages[3] = {{.role = MSG_ROLE_CUSTOMER, .text = text},
        {.role = MSG_ROLE_AGENT, .text = "And?"}, {.role = MSG_ROLE_CUSTOMER, .text = "Please."}};
    struct draft_request request = {.arena = f->arena, .ticket = f->ticket, .context = f->context};
    bool cut;
    f->ticket->messages = messages + 1;
    f->ticket->messages_count = 2;
    assert_non_null(strstr(draft_data(f->arena, &request, &cut), "\"role\":\"agent\",\"text\":\"And?\""));
    assert_false(cut);
    f->ticket->messages = messages;
    f->ticket->messages_count = 3;
    assert_null(strstr(draft_data(f->arena, &request, &cut), "xxx"));
    assert_true(cut);
    f->ticket->messages_count = 0;
    f->ticket->description = text;
    assert_true(strlen(draft_data(f->arena, &request, &cut)) < size + 1000);
    assert_true(cut);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_nothing_of_the_customer),
        TEST(cuts_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
