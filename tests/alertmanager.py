"""Alertmanager's silences, as its API has them (version 2): a stand-in that CI can start at once.

`tests/alertmanager_contract.py` holds it and the real one to the same promises.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class Alertmanager:
    """Silences by id. `asked` are the methods and paths of all requests; `refuse` a status for each."""

    def __init__(self, clock=time.time) -> None:
        self.clock = clock
        self.silences: dict[str, dict] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse = 0
        self.url = ""

    def active(self) -> list[dict]:
        return [one for one in self.listed() if one["status"]["state"] == "active"]

    def listed(self, wanted: str = "") -> list[dict]:
        name, _, value = wanted.partition("=")
        now, found = self.clock(), []
        for one in self.silences.values():
            state = "expired" if read(one["endsAt"]) <= now else "active"
            state = "pending" if read(one["startsAt"]) > now else state
            pairs = {(each["name"], each["value"]) for each in one["matchers"]}
            if not wanted or (name, value.strip('"')) in pairs:
                found.append(one | {"status": {"state": state}})
        return found

    def post(self, body: dict) -> tuple[int, object]:
        now = self.clock()
        if read(body["endsAt"]) <= now:
            return 400, "end time can't be in the past"
        before = self.silences.get(body.get("id", ""))
        if "id" in body and before is None:
            return 404, "silence not found"
        same = before is not None and before["matchers"] == body["matchers"]
        if (
            same
            and int(read(before["startsAt"])) == int(read(body["startsAt"]))
            and read(before["endsAt"]) > now
        ):
            self.silences[body["id"]] = body | {"startsAt": before["startsAt"]}
            return 200, {"silenceID": body["id"]}
        if before is not None and read(before["endsAt"]) > now:
            before["endsAt"] = stamp(now)
        made = str(uuid.uuid4())
        self.silences[made] = body | {"id": made, "startsAt": stamp(max(now, read(body["startsAt"])))}
        return 200, {"silenceID": made}

    def delete(self, id_: str) -> tuple[int, object]:
        if id_ not in self.silences:
            return 404, "silence not found"
        if read(self.silences[id_]["endsAt"]) <= self.clock():
            return 500, "silence already expired"
        self.silences[id_]["endsAt"] = stamp(self.clock())
        return 200, None

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        parts = urlsplit(path)
        self.asked.append((method, parts.path))
        if self.refuse:
            return self.refuse, "not now"
        if parts.path == "/api/v2/silences":
            wanted = parse_qs(parts.query).get("filter", [""])[0]
            return self.post(json.loads(body)) if method == "POST" else (200, self.listed(wanted))
        found = re.fullmatch(r"/api/v2/silence/([0-9a-f-]+)", parts.path)
        return self.delete(found[1]) if found and method == "DELETE" else (404, "no such path")


@contextmanager
def alertmanager(clock=time.time):
    """Serves one on loopback."""
    standing = Alertmanager(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            code, said = standing.answer(self.command, self.path, self.rfile.read(length))
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_DELETE = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    standing.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield standing
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
