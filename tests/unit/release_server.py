"""A static server with ranges on 127.0.0.1, and one knob for each way in which a server can misbehave."""

import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Misbehaviour:
    """How the server answers: `status` instead of the truth, `body` bent, `announce` a false length."""

    def __init__(self):
        self.status = None
        self.bend = lambda data: data
        self.announce = None
        self.ignore_ranges = False
        self.shift_ranges = 0
        self.trickle = None
        self.seen = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        knobs = self.server.knobs
        knobs.seen.append((self.path, self.headers.get("Range")))
        file = self.server.folder / unquote(self.path).lstrip("/")
        if knobs.status or not file.is_file():
            self.refuse(knobs.status or 404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted and not knobs.ignore_ranges:
            start, end = (int(group) + knobs.shift_ranges for group in wanted.groups())
            self.send_part(file.read_bytes(), start, end + 1)
        else:
            self.send_response(200)
            self.send_body(file.read_bytes())

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_part(self, data, start, end):
        if start >= len(data):
            self.refuse(416)
            return
        part = data[start:end]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(data)}")
        self.send_body(part)

    def send_body(self, data):
        knobs = self.server.knobs
        body = knobs.bend(data)
        if knobs.announce != "none":
            self.send_header("Content-Length", str(knobs.announce or len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if knobs.trickle is None:
            self.wfile.write(body)
            return
        for at in range(len(body)):
            self.wfile.write(body[at : at + 1])
            if self.server.over.wait(knobs.trickle):
                return

    def handle(self):
        with suppress(OSError):  # the client hung up: refusing early is what is tested
            super().handle()

    def log_message(self, *args):
        pass


@contextmanager
def serving(folder, tls=None):
    """Serves `folder`, over TLS with a context; gives (url, misbehaviour)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.folder, server.knobs, server.over = folder, Misbehaviour(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", server.knobs
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
