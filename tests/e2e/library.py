"""A folder of documents that changes, and how often each version of a document is read."""

import ctypes
import os
import struct
import threading


class Readings:
    """Counts the openings of each version of a file in a folder, as the kernel tells them. A version is moved into its place."""

    OPEN, CLOSE_NOWRITE, MOVED_TO, OVERFLOW, IS_DIR = 0x20, 0x10, 0x80, 0x4000, 0x40000000

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.counts = {}  # (name, version) -> openings
        self.lost = False  # more happened than the kernel kept
        self._versions = {}
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self._fd, os.fsencode(folder), self.OPEN | self.CLOSE_NOWRITE | self.MOVED_TO)
        assert self._fd >= 0 and watch >= 0, os.strerror(ctypes.get_errno())
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            data, at = os.read(self._fd, 1 << 20), 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                self._take(mask, data[at + 16:at + 16 + length].rstrip(b"\0").decode())
                at += 16 + length

    def _take(self, mask, name):
        if mask & self.OVERFLOW:
            self.lost = True
        elif mask & self.MOVED_TO:
            self._versions[name] = self._versions.get(name, 0) + 1
        elif mask & self.OPEN and not mask & self.IS_DIR:
            which = (name, self._versions.get(name, 0))
            self.counts[which] = self.counts.get(which, 0) + 1

    def most(self):
        """Readings of the version that was read most often."""
        assert not self.lost
        return max(self.counts.values())


class Library:
    """The folder, and what its documents say."""

    def __init__(self, folder, count, dice):
        self.folder = folder
        self.texts = {}
        self._count = count
        self._dice = dice
        self._made = 0
        folder.mkdir(parents=True)
        for number in range(count):
            self.write(f"doc-{number:05}.md")

    def write(self, name):
        self._made += 1
        self.texts[name] = f"The {self._made}th thing that was ever written here is about {name}."
        new = self.folder.parent / ".new"
        new.write_text(f"# Document\n\n{self.texts[name]}\n")
        new.rename(self.folder / name)

    def delete(self, name):
        del self.texts[name]
        (self.folder / name).unlink()

    def turn(self, changes=4):
        """So many are changed, deleted, and made, anywhere: before, behind and where somebody walks."""
        for name in self._dice.sample(sorted(self.texts), changes):
            self.delete(name)
        for name in self._dice.sample(sorted(self.texts), changes):
            self.write(name)
        for _ in range(changes):
            self.write(f"doc-{self._dice.randrange(self._count):05}-{self._made}.md")

    def base(self, stack, prefix=""):
        """What the knowledge base says of it: the texts by name."""
        return dict(stack.sql("SELECT substr(d.object_key, length(%s) + 1), string_agg(p.text, '|') FROM kb_documents d "
                              "LEFT JOIN kb_passages p USING (tenant, source, object_key) "
                              "WHERE starts_with(d.object_key, %s) GROUP BY 1", prefix, prefix))
