/* An auto-responder in outline: shows each answer as it comes, and says what it would do with it.
 *
 *     answers BROKERS [SUBJECT DESCRIPTION CUSTOMER]
 *
 * With a ticket on the command line it is published first. Ends on Ctrl-C. */
#include <helpdesk/helpdesk.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static void show_draft(const struct helpdesk_answer *answer, const struct helpdesk_draft *draft)
{
    printf("  %s (confidence %.2f)\n%s\n",
        draft->ready ? "send to the customer:" : "give to an agent:", draft->confidence, draft->text);
    for (size_t i = 0; i < draft->not_ready_count; i++) {
        printf("  not ready: %s\n", draft->not_ready_because[i]);
    }
    for (size_t i = 0; i < draft->citation_count; i++) {
        for (size_t k = 0; k < answer->source_count; k++) {
            if (strcmp(answer->sources[k].source_id, draft->citations[i]) == 0) {
                printf("  [%zu] %s %s\n", i + 1, answer->sources[k].title, answer->sources[k].citation_uri);
            }
        }
    }
}

static enum helpdesk_disposition answered(void *arg, const struct helpdesk_answer *answer)
{
    (void)arg;
    printf("%s: %s\n", answer->ticket_id, answer->state);
    if (answer->classification != NULL) {
        printf("  %s, %s, for %s\n", answer->classification->category, answer->classification->priority,
            answer->classification->department);
    }
    if (answer->primary_draft != NULL) {
        show_draft(answer, answer->primary_draft);
    }
    if (answer->failure_message != NULL) {
        printf("  %s\n", answer->failure_message);
    }
    fflush(stdout);
    return HELPDESK_OK; /* a real responder returns HELPDESK_RETRY when its mail server is away */
}

static void published(void *arg, const struct helpdesk_receipt *receipt, const struct helpdesk_error *err)
{
    (void)arg;
    if (err != NULL) {
        fprintf(stderr, "%s was not acknowledged: %s\n", receipt->ticket_id, err->text);
    } else {
        printf("%s: published\n", receipt->ticket_id);
    }
}

static bool start(struct helpdesk_client *client, char **words, struct helpdesk_error *err)
{
    struct helpdesk_ticket ticket = {0};

    if (!helpdesk_consume(client, "example-answers", answered, NULL, err)) {
        return false;
    }
    if (words == NULL) {
        return true;
    }
    ticket.subject = words[0];
    ticket.description = words[1];
    ticket.customer_external_id = words[2];
    return helpdesk_publish(client, &ticket, published, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    struct helpdesk_options options = {0};
    struct helpdesk_error err = {0};

    if (argc != 2 && argc != 5) {
        fprintf(stderr, "usage: %s BROKERS [SUBJECT DESCRIPTION CUSTOMER]\n", argv[0]);
        return 2;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    options.brokers = argv[1];
    struct helpdesk_client *client = helpdesk_client_new(&options, &err);
    bool ok = client != NULL && start(client, argc == 5 ? argv + 2 : NULL, &err);
    while (ok && !stopping) {
        ok = helpdesk_client_poll(client, 200, &err);
    }
    helpdesk_client_free(client);
    if (!ok) {
        fprintf(stderr, "%s: %s\n", err.code, err.text);
    }
    return ok ? 0 : 1;
}
