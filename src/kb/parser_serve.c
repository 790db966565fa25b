/* The child's side of parsing: gives up its rights, then answers one document after the other. */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/parse.h"
#include "kb/parser.h"
#include "kb/wire.h"

#define FILES_MAX 24    /* a parser may read a character map or a conversion table */
#define ADDRESS_SPACE 4 /* times the memory: room for what is mapped and not touched */

/* ---- rights ---- */

static bool limit(int resource, rlim_t value)
{
    return setrlimit(resource, &(struct rlimit){value, value}) == 0;
}

static bool limit_resources(size_t memory)
{
    bool ok = limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NPROC, 0) && limit(RLIMIT_NOFILE, FILES_MAX) &&
              limit(RLIMIT_CORE, 0);
#ifndef __SANITIZE_ADDRESS__ /* which maps terabytes; there the parent's watch is the only limit */
    ok = ok && limit(RLIMIT_AS, (rlim_t)ADDRESS_SPACE * memory);
#else
    (void)memory;
#endif
    return ok;
}

/* What a parser has no business with. A call that is refused fails with EPERM. */
static const char *const refused[] = {"socket", "socketpair", "connect", "bind", "listen", "accept",
    "accept4", "execve", "execveat", "fork", "vfork", "clone", "ptrace", "process_vm_readv",
    "process_vm_writev", "kill", "tkill", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "creat",
    "truncate", "ftruncate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat",
    "symlink", "symlinkat", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "chmod", "fchmod", "fchmodat",
    "chown", "fchown", "lchown", "fchownat", "setxattr", "utimensat", "mount", "umount2", "chroot",
    "pivot_root", "setns", "unshare", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key",
    "request_key", "io_setup", "memfd_create", "shmget", "msgget", "semget", "inotify_init1", "fanotify_init",
    "kexec_load", "init_module", "finit_module"};

/* Newer calls that the filter cannot look into: the C library goes on without them. */
static const char *const unknown[] = {"clone3", "openat2", "io_uring_setup", "io_uring_enter"};

static int refuse_all(scmp_filter_ctx filter, const char *const *names, size_t count, int number)
{
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        if (call != __NR_SCMP_ERROR && call >= 0) { /* negative: not of this architecture */
            code = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)number), call, 0);
        }
    }
    return code;
}

/* Opening a file is allowed for reading only. */
static int refuse_writing(scmp_filter_ctx filter, int call, unsigned flags)
{
    static const int writing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    int code = 0;
    for (size_t i = 0; call >= 0 && i < sizeof(writing) / sizeof(writing[0]) && !code; i++) {
        struct scmp_arg_cmp has =
            SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, (scmp_datum_t)writing[i], (scmp_datum_t)writing[i]);
        code = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call, 1, &has);
    }
    return code;
}

static bool filter_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) {
        return false;
    }
    /* abort() signals its own process; no other one. */
    struct scmp_arg_cmp other = SCMP_CMP(0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0);
    int code = refuse_all(filter, refused, sizeof(refused) / sizeof(refused[0]), EPERM);
    code = code ? code : refuse_all(filter, unknown, sizeof(unknown) / sizeof(unknown[0]), ENOSYS);
    code = code ? code : refuse_writing(filter, SCMP_SYS(open), 1);
    code = code ? code : refuse_writing(filter, SCMP_SYS(openat), 2);
    code = code ? code : seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, &other);
    code = code ? code : seccomp_load(filter);
    seccomp_release(filter);
    return code == 0;
}

bool kb_parser_confine(size_t memory)
{
    /* The group's signals are for the parent: this process ends when the socket closes, or with its parent.
     */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < KB_PARSER_FD; fd++) { /* what libraries say about a document is not for the log */
        if (null < 0 || dup2(null, fd) < 0) {
            return false;
        }
    }
    return close_range(KB_PARSER_FD + 1, ~0U, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
           prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           limit_resources(memory) && filter_calls();
}

/* Processor time from here on: ends a child whose parent is gone and that reads no more. */
static void limit_time(int64_t timeout_ms)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    rlim_t seconds = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + timeout_ms / 1000 + 3);
    (void)setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, RLIM_INFINITY});
}

/* ---- requests ---- */

static bool receive(char *data, size_t len)
{
    while (len > 0) {
        ssize_t got = read(KB_PARSER_FD, data, len);
        if (got <= 0) {
            return false;
        }
        data += got;
        len -= (size_t)got;
    }
    return true;
}

static bool send_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = write(KB_PARSER_FD, data, len);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool answer(struct arena *arena, struct buf *reply, const struct kb_wire_head *head)
{
    char *key = arena_alloc(arena, (size_t)head->key_len + 1);
    char *locale = arena_alloc(arena, (size_t)head->locale_len + 1);
    char *data = arena_alloc(arena, (size_t)head->data_len + 1);
    if (!receive(key, head->key_len) || !receive(locale, head->locale_len) ||
        !receive(data, head->data_len)) {
        return false;
    }
    struct kb_document document;
    struct error err = {0};
    bool parsed = kb_parse(arena, key, locale, data, head->data_len, &document, &err);
    struct kb_wire_head out = {0};
    buf_reset(reply);
    buf_append(reply, &out, sizeof(out));
    kb_wire_encode(reply, parsed ? &document : NULL, &err);
    if (reply->failed) { /* no room: as too complex as one that is cut into too many passages */
        return false;
    }
    out.data_len = (uint32_t)(reply->len - sizeof(out));
    memcpy(reply->data, &out, sizeof(out));
    return send_all(reply->data, reply->len);
}

int kb_parser_serve(int argc, char **argv)
{
    int64_t memory, timeout_ms;
    if (argc != 3 || !parse_int64(argv[1], &memory) || !parse_int64(argv[2], &timeout_ms) || memory <= 0 ||
        timeout_ms <= 0 || fcntl(KB_PARSER_FD, F_GETFD) < 0) {
        (void)fputs("helpdesk " KB_PARSER_COMMAND ": is started by kb-sync\n", stderr);
        return 2;
    }
    if (!kb_parser_confine((size_t)memory)) {
        _exit(1); /* never reads a document with rights that it should not have */
    }
    struct buf reply;
    buf_init(&reply, KB_WIRE_REPLY_MAX);
    struct kb_wire_head head;
    bool going = true;
    while (going && receive((char *)&head, sizeof(head))) {
        limit_time(timeout_ms);
        struct arena *arena = arena_new(KB_PARSE_ARENA);
        going = head.key_len <= KB_WIRE_KEY_MAX && head.locale_len <= KB_WIRE_HEADING_MAX &&
                head.data_len <= KB_WIRE_DATA_MAX && answer(arena, &reply, &head);
        arena_free(arena);
    }
    _exit(0); /* without the leak check, which would trace this process */
}
