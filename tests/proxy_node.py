"""A node on real files for a real `warmroot-proxy` process: disk, /proc, root, and an API of one object."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from os_proxy.backends.device import FileDevice, LaidOutDisk
from os_proxy.core.receipts import Receipt, SlotContent, encode
from warmroot.disk import bootstate, gpt, layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB

NODE = "worker-1"


class OneObject:
    """OSInstance of one node behind HTTP: get, list, watch, patch of the status."""

    def __init__(self):
        self.news = threading.Condition()
        self.version = 1
        self.over = False
        self.patches = []
        self.object = {
            "apiVersion": "warmroot.io/v1alpha1",
            "kind": "OSInstance",
            "metadata": {"name": NODE, "uid": "u1", "generation": 1, "resourceVersion": "1"},
            "spec": {"os": "workers"},
        }

    def order(self, **spec):
        with self.news:
            self.object["spec"] = {"os": "workers", **spec}
            self.object["metadata"]["generation"] += 1
            self._changed()

    def merge(self, change):
        with self.news:
            _merge(self.object, change)
            self.patches.append(change)
            self._changed()
            return json.dumps(self.object).encode()

    def _changed(self):
        self.version += 1
        self.object["metadata"]["resourceVersion"] = str(self.version)
        self.news.notify_all()

    def wait_for(self, holds, timeout=60.0):
        """Waits until the status is as wished; gives it."""
        with self.news:
            assert self.news.wait_for(lambda: holds(self.object.get("status") or {}), timeout), self.object
            return self.object["status"]


def _merge(target, change):
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        one, parts = self.server.one, urlsplit(self.path)
        if "watch=1" in parts.query:
            self.watch(one)
        elif parts.path.endswith(NODE):
            self.answer(json.dumps(one.object).encode())
        else:
            listing = {"metadata": {"resourceVersion": str(one.version)}, "items": [one.object]}
            self.answer(json.dumps(listing).encode())

    def do_PATCH(self):
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(self.server.one.merge(change))

    def watch(self, one):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        told = None
        while not one.over:
            with one.news:
                if one.version == told:
                    one.news.wait(0.2)
                    continue
                told, event = one.version, {"type": "MODIFIED", "object": one.object}
                line = json.dumps(event).encode() + b"\n"
            try:
                self.wfile.write(line)
                self.wfile.flush()
            except OSError:
                return

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def serving_object():
    """An API server of one object; gives (url, object)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.daemon_threads = True
    server.one = OneObject()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.one
    finally:
        server.one.over = True
        server.shutdown()
        server.server_close()
        thread.join()


class NodeFolder:
    """Everything that a proxy process sees of its host, below one folder."""

    def __init__(self, folder, *, root_mib=2, boot_mib=1):
        self.folder = folder
        self.disk = folder / "disk.img"
        self.data = folder / "data"
        self.layout = layout.plan(
            boot_size=boot_mib * MIB, root_size=root_mib * MIB, data_size=MIB, esp_size=MIB
        )
        self.data.mkdir(parents=True)
        with self.disk.open("wb") as file:
            file.truncate(self.layout.disk_size)
            for offset, data in gpt.write(self.layout):
                file.seek(offset)
                file.write(data)
            file.seek(self.layout[layout.BOOTSTATE].start)
            file.write(bootstate.image(BootRecord(1, Slot.A)))

    def install(self, release, manifest, digest, anchor):
        """Puts a built release into slot A, as the installer does, and lets it be what runs."""
        disk = LaidOutDisk(FileDevice(self.disk))
        slot = disk.slot(Slot.A)
        slot.root.write(0, (release / "root.img").read_bytes())
        slot.boot.write(0, (release / "boot.img").read_bytes())
        slot.root.flush()
        (self.data / "receipts").mkdir()
        (self.data / "manifests").mkdir()
        receipt = Receipt(digest, manifest.version, manifest.release_seq, SlotContent.VERIFIED)
        (self.data / "receipts" / "A.json").write_bytes(encode(receipt))
        (self.data / "manifests" / f"{digest[7:]}.json").write_bytes(manifest.encode())
        self.boots(Slot.A, manifest, "boot-1")
        root = self.folder / "root"
        (root / "usr/share/warmroot").mkdir(parents=True)
        (root / "usr/share/warmroot/root.json").write_bytes(anchor)
        (root / "usr/lib").mkdir()
        (root / "usr/lib/os-release").write_text(f'NAME=test\nIMAGE_ID="{manifest.product}"\n')

    def boots(self, slot, manifest, boot_id):
        """What the kernel's files say after this boot."""
        random = self.folder / "proc/sys/kernel/random"
        random.mkdir(parents=True, exist_ok=True)
        (random / "boot_id").write_text(boot_id + "\n")
        line = (
            f"quiet wr.slot={slot} wr.hash={manifest.root.root_hash.hex()} wr.off={manifest.root.data_size}\n"
        )
        (self.folder / "proc/cmdline").write_text(line)

    def start(self, api, *extra, log):
        """A real proxy process."""
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                    "current-context": "c",
                    "clusters": [{"name": "k", "cluster": {"server": api}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                }
            )
        )
        command = [sys.executable, "-m", "os_proxy.main", "--node", NODE]
        command += ["--disk", str(self.disk), "--data", str(self.data), "--root", str(self.folder / "root")]
        command += ["--proc", str(self.folder / "proc"), "--kubeconfig", str(kubeconfig), "--arch", "amd64"]
        command += ["--reboot-command", f"touch {self.folder / 'rebooted'}", "--log-format", "json", *extra]
        return subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
