/* Parses documents in child processes, so that hostile bytes break, fill or stop nothing but their own
 * document: no network, no program, no file to write, no secret of ours, bounded memory and time. The
 * children are used again for many documents. */
#ifndef HELPDESK_KB_PARSER_H
#define HELPDESK_KB_PARSER_H

#include <stddef.h>
#include <stdint.h>
#include "kb/document.h"

#define KB_PARSER_COMMAND "parse-worker" /* the subcommand that runs kb_parser_serve */

struct kb_parser;

/* `program` is started as `PROGRAM parse-worker MEMORY TIMEOUT_MS` (copied; "/proc/self/exe" in the program
 * itself). `memory`: bytes that a child may hold; `timeout_ms`: of one document. Nothing is started yet. */
struct kb_parser *kb_parser_new(const char *program, size_t memory, int64_t timeout_ms);
/* Ends the children. Nobody is inside kb_parser_run. NULL is fine. */
void kb_parser_free(struct kb_parser *parser);

/* kb_parse in a child; blocks for at most `timeout_ms` (twice, when a child that has read other documents
 * crashes). Any thread; as many children as threads are inside. False: the errors of kb_parse, "kb_timeout",
 * "kb_memory", "kb_crash", "kb_parser_reply" (ERROR_REJECT: of this document), or "kb_parser" (ERROR_RETRY:
 * no child can be started). `out` is in the arena. */
bool kb_parser_run(struct kb_parser *parser, struct arena *arena, const char *key, const char *locale,
    const char *data, size_t len, struct kb_document *out, struct error *err);

/* Gives up every right of this process that parsing does not need, for ever: memory (above what the parent
 * watches), new sockets, processes and programs, writing of files, all open files but KB_PARSER_FD. False:
 * some right could not be given up. */
bool kb_parser_confine(size_t memory);

/* The child's side: kb_parser_confine, then answers requests on KB_PARSER_FD
 * until the other end closes. Returns the exit code. Main thread, before any other is started. */
int kb_parser_serve(int argc, char **argv);

#define KB_PARSER_FD 3

#endif
