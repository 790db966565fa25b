/* The table of settings for --help and as a sample file. */
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>
#include "conf/table.h"

/* "gateway" of "gateway.port"; "" of "tenant". The length is that of the section, without the dot. */
static size_t section_len(const struct conf_row *row)
{
    const char *dot = strchr(row->name, '.');
    return dot ? (size_t)(dot - row->name) : 0;
}

static bool same_section(const struct conf_row *a, const struct conf_row *b)
{
    size_t len = section_len(a);
    return len == section_len(b) && strncmp(a->name, b->name, len) == 0;
}

static const char *key(const struct conf_row *row)
{
    size_t len = section_len(row);
    return row->name + len + (len > 0);
}

/* "HELPDESK_GATEWAY_PORT, HELPDESK_PORT" */
static void put_variables(struct buf *out, const struct conf_row *row)
{
    char name[CONF_ENV_SIZE];
    const char *aliases = row->aliases;
    conf_env_name(row, name);
    buf_puts(out, name);
    while (conf_next_alias(&aliases, name)) {
        buf_printf(out, ", %s", name);
    }
}

/* What may be given, and in what unit. */
static void put_rule(struct buf *out, const struct conf_row *row)
{
    bool text = row->type == CONF_TEXT || row->type == CONF_SECRET;
    if (row->type == CONF_SECRET) {
        buf_puts(out, "secret");
    } else if (text) {
        buf_puts(out, "text");
    } else {
        conf_value_expected(row, out);
    }
    if (*row->unit && row->type != CONF_CHOICE) {
        buf_printf(out, text ? ": %s" : " (%s)", row->unit);
    }
}

void conf_render_help(struct buf *out)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const struct conf_row *row = &conf_rows[i];
        buf_printf(out, "%s\n    %s.\n    ", row->name, row->text);
        put_rule(out, row);
        if (*row->initial) {
            buf_printf(out, "; default %s", row->initial);
        }
        buf_puts(out, "\n    ");
        put_variables(out, row);
        buf_putc(out, '\n');
    }
}

static void put_sample_row(struct buf *out, const struct conf_row *row)
{
    buf_printf(out, "# %s.\n# ", row->text);
    put_rule(out, row);
    buf_puts(out, "; environment: ");
    put_variables(out, row);
    buf_printf(out, "\n#%s =%s%s\n\n", key(row), *row->initial ? " " : "", row->initial);
}

void conf_render_sample(struct buf *out)
{
    buf_puts(out, "# Settings of helpdesk. What is commented out shows the default; the environment wins "
                  "over this file.\n\n");
    for (size_t i = 0; i < CONF_COUNT; i++) {
        bool seen = false; /* rows of one section are gathered at its first */
        for (size_t before = 0; before < i && !seen; before++) {
            seen = same_section(&conf_rows[before], &conf_rows[i]);
        }
        if (seen) {
            continue;
        }
        if (section_len(&conf_rows[i]) > 0) {
            buf_printf(out, "[%.*s]\n", (int)section_len(&conf_rows[i]), conf_rows[i].name);
        }
        for (size_t row = i; row < CONF_COUNT; row++) {
            if (same_section(&conf_rows[i], &conf_rows[row])) {
                put_sample_row(out, &conf_rows[row]);
            }
        }
    }
}
