/* The loop: posted calls, timers, offloaded work, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    loop = loop_new(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(loop, arg ? *(int *)arg : 0);
}

static void stop_gives_the_exit_code(void **state)
{
    (void)state;
    int code = 7;
    loop_post(loop, stop, &code);
    assert_int_equal(loop_run(loop), 7);
    loop_stop(loop, 3); /* before the loop runs */
    assert_int_equal(loop_run(loop), 3);
    code = 0;
    loop_post(loop, stop, &code);
    assert_int_equal(loop_run(loop), 0);
}

#define POSTERS 4
#define POSTS 5000

static struct poster {
    int sent;
    int seen;
    pthread_t thread;
} posters[POSTERS];
static int posts_left;

struct post {
    struct poster *poster;
    int number;
};

static void take_post(void *arg)
{
    struct post *post = arg;
    assert_int_equal(post->number, post->poster->seen);
    post->poster->seen++;
    free(post);
    if (--posts_left == 0) {
        loop_stop(loop, 0);
    }
}

static void *send_posts(void *arg)
{
    struct poster *poster = arg;
    for (; poster->sent < POSTS; poster->sent++) {
        struct post *post = malloc(sizeof(*post));
        if (!post) {
            abort();
        }
        post->poster = poster;
        post->number = poster->sent;
        loop_post(loop, take_post, post);
    }
    return NULL;
}

static void posts_of_any_thread_keep_their_order(void **state)
{
    (void)state;
    posts_left = POSTERS * POSTS;
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&posters[i].thread, NULL, send_posts, &posters[i]), 0);
    }
    assert_int_equal(loop_run(loop), 0);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].seen, POSTS);
    }
}

static char order[16];

static void note(void *arg)
{
    size_t len = strlen(order);
    order[len] = *(const char *)arg;
    order[len + 1] = '\0';
}

static void timers_fire_in_order_once(void **state)
{
    (void)state;
    static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    order[0] = '\0';
    struct loop_timer *timers[] = {loop_timer_new(loop, note, a), loop_timer_new(loop, note, b),
        loop_timer_new(loop, note, c), loop_timer_new(loop, note, d), loop_timer_new(loop, stop, NULL)};
    loop_timer_arm(timers[2], 1);
    loop_timer_arm(timers[3], 10);
    loop_timer_arm(timers[1], 20);
    loop_timer_arm(timers[2], 40); /* moved */
    loop_timer_cancel(timers[3]);
    loop_timer_arm(timers[0], 60);
    loop_timer_arm(timers[4], 80);
    assert_int_equal(loop_run(loop), 0);
    assert_string_equal(order, "bca");
    loop_timer_arm(timers[0], -5); /* again, at once */
    loop_timer_arm(timers[4], 5);
    loop_run(loop);
    assert_string_equal(order, "bcaa");
    for (int i = 0; i < 5; i++) {
        loop_timer_free(timers[i]);
    }
    loop_timer_free(NULL);
}

static struct loop_timer *checked;
static int64_t armed_at, fired_at;

static void arm_after_work(void *arg)
{
    (void)arg;
    int64_t start = clock_mono_ms();
    while (clock_mono_ms() < start + 50) {
    }
    armed_at = clock_mono_us();
    loop_timer_arm(checked, 30);
}

static void fired(void *arg)
{
    (void)arg;
    fired_at = clock_mono_us();
    loop_stop(loop, 0);
}

/* The delay counts from the call, however long the loop has been busy before. */
static void timers_are_never_early(void **state)
{
    (void)state;
    checked = loop_timer_new(loop, fired, NULL);
    loop_post(loop, arm_after_work, NULL);
    loop_run(loop);
    assert_true(fired_at - armed_at >= 29000); /* libevent counts whole microseconds, the kernel may round */
    loop_timer_free(checked);
}

static void free_itself(void *arg)
{
    struct loop_timer **timer = arg;
    loop_timer_free(*timer);
    loop_stop(loop, 0);
}

static void a_timer_may_free_itself(void **state)
{
    (void)state;
    struct loop_timer *timer = loop_timer_new(loop, free_itself, &timer);
    loop_timer_arm(timer, 0);
    loop_run(loop);
    timer = loop_timer_new(loop, free_itself, &timer);
    loop_timer_arm(timer, 0);
    loop_timer_free(timer); /* armed: cancelled */
    loop_post(loop, stop, NULL);
    loop_run(loop);
}

#define JOBS 500

static struct job {
    long input, output;
    pthread_t worker;
} jobs[JOBS];
static int jobs_left;
static pthread_t loop_thread;

static void work(void *arg)
{
    struct job *job = arg;
    job->worker = pthread_self();
    job->output = job->input * 2;
}

static void work_done(void *arg)
{
    struct job *job = arg;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_false(pthread_equal(job->worker, loop_thread));
    assert_int_equal(job->output, job->input * 2);
    if (--jobs_left == 0) {
        loop_stop(loop, 0);
    }
}

static void start_jobs(void *arg)
{
    (void)arg;
    for (int i = 0; i < JOBS; i++) {
        jobs[i].input = i;
        loop_offload(loop, work, work_done, &jobs[i]);
    }
}

static void offloaded_work_comes_back(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    jobs_left = JOBS;
    loop_post(loop, start_jobs, NULL);
    loop_run(loop);
    assert_int_equal(jobs_left, 0);
}

static void never(void *arg)
{
    (void)arg;
    fail_msg("called after the loop ended");
}

static void what_is_left_is_dropped(void **state)
{
    (void)state;
    for (int i = 0; i < JOBS; i++) {
        loop_offload(loop, work, never, &jobs[i]);
    }
    loop_post(loop, never, NULL); /* teardown frees the loop without running it */
}

static void touch(void *arg)
{
    *(char *)arg = 'x';
}

/* Nobody knows how to free what it holds: it is no leak that LeakSanitizer would tell of. */
static void what_is_dropped_stays_in_sight(void **state)
{
    (void)state;
    for (int i = 0; i < JOBS; i++) {
        loop_offload(loop, touch, never, malloc(16));
    }
    loop_post(loop, never, malloc(16));
}

static void on_shutdown(void *arg)
{
    loop_stop(loop, *(int *)arg);
}

static void raise_term(void *arg)
{
    (void)arg;
    raise(SIGTERM);
}

static void raise_int(void *arg)
{
    (void)arg;
    raise(SIGINT);
}

static void hang(void *arg)
{
    (void)arg;
    raise(SIGTERM);
    for (;;) {
        pause();
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Runs a loop in a child that raises a signal, and returns how the child exited. */
static int run_child(loop_fn *shutdown, loop_fn *first, loop_fn *then)
{
    static int code = 42;
    pid_t child = fork();
    if (child == 0) {
        log_setup("test", LOG_ERROR);
        loop = loop_new(1);
        loop_on_shutdown(loop, shutdown, &code);
        loop_post(loop, first, NULL);
        struct loop_timer *timer = loop_timer_new(loop, then, NULL);
        loop_timer_arm(timer, 20);
        int ended = loop_run(loop);
        loop_timer_free(timer);
        loop_free(loop);
        _exit(ended);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void signals_shut_down(void **state)
{
    (void)state;
    assert_int_equal(run_child(on_shutdown, raise_term, nothing), 42);
    assert_int_equal(run_child(on_shutdown, raise_int, nothing), 42);
    assert_int_equal(run_child(nothing, raise_term, raise_int), 1); /* the second exits */
    assert_int_equal(run_child(hang, raise_term, nothing), 1);      /* even when the loop hangs */
}

static void a_closed_peer_is_no_signal(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_shut_down),
        cmocka_unit_test_setup_teardown(stop_gives_the_exit_code, setup, teardown),
        cmocka_unit_test_setup_teardown(posts_of_any_thread_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(timers_fire_in_order_once, setup, teardown),
        cmocka_unit_test_setup_teardown(timers_are_never_early, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_may_free_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(offloaded_work_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_dropped_stays_in_sight, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_peer_is_no_signal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
