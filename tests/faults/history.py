"""The append-only log of a fault test: JSON lines of what was sent and what was seen, by several processes at once.

Every line has `what` and `at` (wall time). The checker reads nothing else. The lines:

  sent      event, key, sequence         a publisher is about to publish it
  acked     event, topic, partition, offset                      the broker took it; it is to be answered. With expect
                                         `letter`, key, value and headers: it is to become a dead letter like that
  seen      topic, partition, offset, key, event, correlation, sequence, state    read from a tickets.* topic
  letter    topic, partition, offset, key, value (SHA-256), headers      read from a dead-letter topic
  position  group, topic, partition, offset, metadata                    what a group has committed, once all is still
  still     nothing was under way any more
  row       table, kind, event, count                                    rows in PostgreSQL of one event
  call      key                          a model was asked for an event of this key, and answered or was left alone
  kill      role, how, in_flight         a process was killed that had so many calls of a model under way, at most
  http      status, retry_after, key     what a user got; status 0: the connection broke (may_break: as it had to)
"""

import json
import os
import time


class History:
    def __init__(self, path):
        self.path = str(path)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, what, **fields):
        self.add_all(what, [fields])

    def add_all(self, what, many):
        """One write of whole lines: writers do not mix."""
        now = round(time.time(), 3)
        text = "".join(json.dumps({"what": what, "at": now, **fields}) + "\n" for fields in many)
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data):]

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def follow(self):
        return Follower(self.path)

    def close(self):
        os.close(self._fd)


class Follower:
    """Gives the lines that were added since it was asked last."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._rest = b""

    def lines(self):
        data = self._rest + self._file.read()
        whole, _, self._rest = data.rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def close(self):
        self._file.close()
