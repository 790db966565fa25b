"""Text as C string literals, for the generators."""


def literal(text):
    """One literal; what is not plain ASCII becomes octal escapes, which end after three digits."""
    def escape(c):
        if c in '"\\':
            return "\\" + c
        return c if " " <= c <= "~" else "".join(f"\\{b:03o}" for b in c.encode())
    return '"' + "".join(map(escape, text)) + '"'


def lines(text, indent):
    """One literal a line, for the compiler to join."""
    return "\n".join(indent + literal(line) for line in text.splitlines(keepends=True)) or indent + '""'
