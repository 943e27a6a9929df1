"""What a simulated node has around its disk: files, a release source, an OSInstance and a clock."""

from contextlib import contextmanager
from dataclasses import dataclass

from os_proxy.core.status import patch
from warmroot.disk.layout import BLOCK
from warmroot.errors import DiskFull, Truncated, Unknown


class SimFiles:
    """The data partition: each write is whole or did not happen."""

    def __init__(self, content=None, *, spend=lambda kind: None):
        self.content = dict(content or {})
        self.spend = spend
        self.full = False

    def read(self, name):
        return self.content.get(name)

    def write(self, name, data):
        if self.full:
            raise DiskFull("the simulated data partition is full")
        self.spend("file")
        self.content[name] = data

    def names(self, folder):
        return sorted(name for name in self.content if name.startswith(folder + "/"))

    def free(self):
        return 0 if self.full else 1 << 40

    @contextmanager
    def spool(self, name):
        yield SimSpool()


class SimSpool:
    def __init__(self):
        self.data = bytearray()

    def put(self, offset, data):
        self.data[offset : offset + len(data)] = data

    def get(self, offset, length):
        return bytes(self.data[offset : offset + length])


class SimSource:
    """All releases, by path. `bend` may change, cut or refuse what is served."""

    describe = "sim"

    def __init__(self, images):
        self.blobs = {}
        for image in images:
            self.blobs[image.manifest.root.path] = image.root
            self.blobs[image.manifest.boot.path] = image.boot
        self.bend = lambda path, start, data: data
        self.served = []

    def read_range(self, path, start, length):
        if path not in self.blobs:
            raise Unknown(f"no {path}")
        data = self.bend(path, start, self.blobs[path][start : start + length])
        self.served.append((path, start, len(data)))
        for at in range(0, len(data), BLOCK):
            yield data[at : at + BLOCK]
        if len(data) < length:
            raise Truncated(f"{path} ended early")

    def read(self, path, max_bytes):
        raise NotImplementedError


class SimInstance:
    """The OSInstance: orders are set by the test; what is published is merged and counted."""

    def __init__(self):
        self.wanted = None
        self.state = {}
        self.patches = []

    def orders(self):
        if isinstance(self.wanted, Exception):
            raise self.wanted
        return self.wanted

    def status(self):
        return dict(self.state)

    def publish(self, status):
        changes = patch(self.state, status)
        if changes:
            self.patches.append(changes)
            self.state = status

    def wait(self, timeout):
        pass


@dataclass
class SimClock:
    time: float = 1_000_000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time
