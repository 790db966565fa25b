"""Text as C string literals, for the generators."""


def literal(text):
    """One literal; what is not plain ASCII becomes octal escapes, which end after three digits."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else "".join(f"\\{b:03o}" for b in c.encode())
                         for c in text) + '"'


def lines(text, indent):
    """One literal a line, for the compiler to join."""
    return "\n".join(indent + literal(line) for line in text.splitlines(keepends=True)) or indent + '""'
