/* Load generator: publishes tickets straight to Kafka at a rate, awaits their answers, prints one JSON
 * object.
 *
 *     loadgen --brokers HOST:PORT [--tickets 1000] [--rate 100] [--wait 60] [--prefix P] [--embedded]
 *
 * A rate of 0 publishes as fast as the broker acknowledges. Exit code 0 when every ticket was answered,
 * without failure. */
#include <getopt.h>
#include <helpdesk/helpdesk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_TICKETS 10000000
#define MAX_PENDING 1000 /* not acknowledged yet; more would only wait in a queue */
#define SETTLE_SECONDS 60
#define PASSED_SECONDS 0.5 /* for so long no answer of another run */

struct load {
    struct helpdesk_client *client;
    char run[32]; /* tells this run's tickets from those of others */
    long tickets;
    long rate;
    long wait_seconds;
    double *sent_at; /* by number of the ticket; 0: not yet sent */
    double *latency; /* in milliseconds; 0: not yet answered */
    long sent, acknowledged, sent_again, answered, failed, repeated;
    long others; /* answers of other runs */
};

struct ticket_text {
    const char *subject, *description;
};

static const struct ticket_text texts[] = {
    {"Charged twice this month",
        "My card was charged two times for the same invoice. Please refund one of the payments."},
    {"Cannot sign in", "After I reset my password the login page says that my account is locked."},
    {"Where is my parcel?",
        "The tracking page has not changed for five days and the parcel was due on Monday."},
    {"Export fails with an error", "Exporting the report to a file stops at half with an error message."},
    {"Rechnung ist falsch",
        "Auf meiner Rechnung steht ein Betrag, den ich nicht bestellt habe. Bitte korrigieren."},
    {"How do I change my address?", "I moved and want future orders to go to my new home."},
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- publishing ---- */

static void published(void *arg, const struct helpdesk_receipt *receipt, const struct helpdesk_error *err);

static bool publish(struct load *load, long number, const struct helpdesk_receipt *earlier)
{
    const struct ticket_text *text = &texts[number % (long)(sizeof texts / sizeof *texts)];
    char id[64], customer[32];
    struct helpdesk_ticket ticket = {.subject = text->subject,
        .description = text->description,
        .ticket_id = id,
        .external_ticket_id = id,
        .customer_external_id = customer,
        .channel = "web"};
    struct helpdesk_error err = {0};

    snprintf(id, sizeof id, "%s-%ld", load->run, number);
    snprintf(customer, sizeof customer, "load-%ld", number % 1000);
    if (earlier != NULL) {
        ticket.correlation_id = earlier->correlation_id;
        ticket.event_id = earlier->event_id;
    }
    if (helpdesk_publish(load->client, &ticket, published, load, NULL, &err)) {
        return true;
    }
    fprintf(stderr, "loadgen: %s: %s\n", err.code, err.text);
    return false;
}

/* The number of a ticket of this run, or -1. */
static long number_of(const struct load *load, const char *ticket_id)
{
    size_t len = strlen(load->run);
    char *end;

    if (strncmp(ticket_id, load->run, len) != 0 || ticket_id[len] != '-') {
        return -1;
    }
    long number = strtol(ticket_id + len + 1, &end, 10);
    return *end == '\0' && number >= 0 && number < load->tickets ? number : -1;
}

static void published(void *arg, const struct helpdesk_receipt *receipt, const struct helpdesk_error *err)
{
    struct load *load = arg;

    if (err == NULL) {
        load->acknowledged++;
    } else if (err->disposition == HELPDESK_RETRY &&
               publish(load, number_of(load, receipt->ticket_id), receipt)) {
        load->sent_again++;
    }
}

/* ---- answers ---- */

static enum helpdesk_disposition answered(void *arg, const struct helpdesk_answer *answer)
{
    struct load *load = arg;
    long number = number_of(load, answer->ticket_id);

    if (number < 0 || load->sent_at[number] == 0) {
        load->others++;
        return HELPDESK_OK;
    }
    if (load->latency[number] > 0) {
        load->repeated++;
        return HELPDESK_OK;
    }
    load->latency[number] = (now() - load->sent_at[number]) * 1000;
    load->answered++;
    if (strcmp(answer->state, "failed") == 0) {
        load->failed++;
    }
    return HELPDESK_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const struct load *load, double seconds)
{
    double *sorted = load->latency; /* not needed in order any more; what was not answered comes first as 0 */
    long lost = load->tickets - load->answered;

    qsort(sorted, (size_t)load->tickets, sizeof *sorted, compare);
    double median = load->answered > 0 ? sorted[lost + load->answered / 2] : 0;
    double p99 = load->answered > 0 ? sorted[lost + load->answered * 99 / 100] : 0;
    printf("{\"sent\":%ld,\"acknowledged\":%ld,\"sent_again\":%ld,\"answered\":%ld,\"failed\":%ld,"
           "\"repeated\":%ld,"
           "\"lost\":%ld,\"median_ms\":%.2f,\"p99_ms\":%.2f,\"seconds\":%.2f}\n",
        load->sent, load->acknowledged, load->sent_again, load->answered, load->failed, load->repeated, lost,
        median, p99, seconds);
}

/* ---- the run ---- */

static bool poll_client(struct load *load, double seconds)
{
    struct helpdesk_error err = {0};

    if (helpdesk_client_poll(load->client, seconds > 0 ? (int)(seconds * 1000) + 1 : 0, &err)) {
        return true;
    }
    fprintf(stderr, "loadgen: %s: %s\n", err.code, err.text);
    return false;
}

/* Waits until this member of its group gets answers, and has passed those of earlier runs: ours would stand
 * behind them. */
static bool settle(struct load *load)
{
    double start = now(), passed_at = start;
    long others = 0;

    while (helpdesk_client_partitions(load->client) == 0 || now() < passed_at + PASSED_SECONDS) {
        if (now() > start + SETTLE_SECONDS) {
            bool joined = helpdesk_client_partitions(load->client) > 0;
            fprintf(stderr, "loadgen: %s within %d seconds\n",
                joined ? "others' answers do not end" : "no partition of answers", SETTLE_SECONDS);
            return joined;
        }
        if (!poll_client(load, 0.1)) {
            return false;
        }
        if (helpdesk_client_partitions(load->client) == 0 || load->others > others) {
            others = load->others;
            passed_at = now();
        }
    }
    return true;
}

static bool send_due(struct load *load, double start)
{
    while (load->sent < load->tickets && helpdesk_client_pending(load->client) < MAX_PENDING &&
           (load->rate == 0 || start + (double)load->sent / (double)load->rate <= now())) {
        load->sent_at[load->sent] = now();
        if (!publish(load, load->sent, NULL)) {
            return false;
        }
        load->sent++;
    }
    return true;
}

static bool run(struct load *load)
{
    double start = now(), last_sent = start;

    while ((load->answered < load->tickets || helpdesk_client_pending(load->client) > 0) &&
           now() < last_sent + (double)load->wait_seconds) {
        if (load->sent < load->tickets) {
            if (!send_due(load, start)) {
                return false;
            }
            last_sent = now();
        }
        bool timed = load->rate > 0 && load->sent < load->tickets;
        double next = timed ? start + (double)load->sent / (double)load->rate - now() : 0.1;
        if (!poll_client(load, next)) {
            return false;
        }
    }
    report(load, now() - start);
    return load->answered == load->tickets && load->failed == 0;
}

static long number_option(const char *name, const char *text, long least, long most)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "loadgen: --%s is a number from %ld to %ld\n", name, least, most);
        exit(2);
    }
    return value;
}

static void read_options(int argc, char **argv, struct load *load, struct helpdesk_options *options)
{
    static const struct option names[] = {{"brokers", required_argument, NULL, 'b'},
        {"prefix", required_argument, NULL, 'p'}, {"tickets", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'r'}, {"wait", required_argument, NULL, 'w'},
        {"embedded", no_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'b':
            options->brokers = optarg;
            break;
        case 'p':
            options->prefix = optarg;
            break;
        case 'n':
            load->tickets = number_option("tickets", optarg, 1, MAX_TICKETS);
            break;
        case 'r':
            load->rate = number_option("rate", optarg, 0, 1000000);
            break;
        case 'w':
            load->wait_seconds = number_option("wait", optarg, 1, 86400);
            break;
        case 'e':
            options->embedded = true;
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct load load = {.tickets = 1000, .rate = 100, .wait_seconds = 60};
    struct helpdesk_options options = {0};
    struct helpdesk_error err = {0};

    read_options(argc, argv, &load, &options);
    snprintf(load.run, sizeof load.run, "load-%lx-%x", (unsigned long)time(NULL), (unsigned)getpid());
    load.sent_at = calloc((size_t)load.tickets, sizeof *load.sent_at);
    load.latency = calloc((size_t)load.tickets, sizeof *load.latency);
    bool ok = load.sent_at != NULL && load.latency != NULL;
    if (ok) {
        load.client = helpdesk_client_new(&options, &err);
        ok = load.client != NULL && helpdesk_consume(load.client, load.run, answered, &load, &err);
        if (!ok) {
            fprintf(stderr, "loadgen: %s: %s\n", err.code, err.text);
        }
    }
    ok = ok && settle(&load) && run(&load);
    helpdesk_client_free(load.client);
    free(load.sent_at);
    free(load.latency);
    return ok ? 0 : 1;
}
