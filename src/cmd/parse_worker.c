/* The child process in which kb-sync parses documents; people never start it. */
#include "cmd/cmd.h"
#include "kb/parser.h"

int cmd_parse_worker(int argc, char **argv)
{
    return kb_parser_serve(argc, argv);
}
