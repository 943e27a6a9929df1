"""The three requests of a starting pod, answered on loopback without the web framework.

`jboost run` starts a service for one start, and the application waits for it. Importing the framework takes
longer than everything else that is done before the application starts, so it is left out here. Decisions,
store and keys are the service's own; builders and people get the whole service (`service.reach`).
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jboost_server import messages
from jboost_server.catalogue import Catalogue
from jboost_server.core import layout
from jboost_server.outcomes import Outcomes
from jboost_server.web.tenancy import LOCAL, Local
from warmroot.canonical import encode
from warmroot.errors import AccessError, BadRequest, NoObject, StoreError, UploadError, WarmrootError

_ARCHIVE = re.compile(r"/v1/archives/([0-9a-f]{64})")
log = logging.getLogger(__name__)


@contextmanager
def serving(catalogue: Catalogue, token: str) -> Iterator[str]:
    """The address of a service that answers whoever shows the token, until the block ends.

    Raises:
        OSError: there is no port to be had.
    """

    class Handler(_Handler):
        pass

    Handler.catalogue, Handler.tenants, Handler.outcomes = catalogue, Local(token), Outcomes(catalogue)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="front", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        with contextlib.suppress(StoreError):  # counts alone are lost
            Handler.outcomes.flush()


class _Handler(BaseHTTPRequestHandler):
    catalogue: Catalogue
    tenants: Local
    outcomes: Outcomes
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def do_GET(self) -> None:
        found = _ARCHIVE.fullmatch(self.path)
        self._guarded(lambda: self._archive(found[1]) if found else self._refuse(404, NoObject(self.path)))

    def do_POST(self) -> None:
        routes = {"/v1/lookup": self._lookup, "/v1/outcomes": self._outcome}
        answer = routes.get(self.path)
        self._guarded(answer if answer else lambda: self._refuse(404, NoObject(self.path)))

    def _lookup(self) -> None:
        asked = messages.lookup(self._body(messages.MAX_LOOKUP))
        scope = messages.scope_of(LOCAL, asked.group)
        answer = self.catalogue.lookup(scope, asked.key, record=asked.record, pod=self.pod)
        self._answer(200, messages.answer(answer))

    def _outcome(self) -> None:
        told = messages.outcome(self._body(messages.MAX_REPORT))
        place, report = messages.place_of(LOCAL, told.group, told.key), told.report
        if report.doubts:
            self.catalogue.doubt(place, report.archive, self.pod, report.why)
        self.outcomes.add(place, self.pod, report)
        self._answer(204, b"")

    def _archive(self, digest: str) -> None:
        with self.catalogue.store.get(layout.archive(LOCAL, digest)) as opened:
            self.send_response(200)
            self.send_header("Content-Length", str(opened.stat.size))
            self.send_header("ETag", f'"{digest}"')
            self.end_headers()
            for chunk in opened.chunks:
                self.wfile.write(chunk)

    def _body(self, cap: int) -> bytes:
        size = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= size <= cap:
            self.close_connection = True
            raise ValueError(f"a body of {size} bytes; 0 to {cap} are taken")
        return self.rfile.read(size)

    def _guarded(self, answer: Any) -> None:
        """Answers whoever shows the token; whatever fails is an answer, too."""
        try:
            self.pod = self.tenants.identify(self.headers.get("Authorization", "")).pod
        except AccessError as error:
            self.close_connection = True  # its body was not read
            self._refuse(401, error)
            return
        try:
            answer()
        except OSError:
            self.close_connection = True  # whoever asked is gone
        except NoObject as error:
            self._refuse(404, error)
        except UploadError as error:
            self._refuse(400, error)
        except (ValueError, RecursionError) as error:
            self._refuse(400, BadRequest(str(error)))
        except StoreError as error:
            self._refuse(503, error)

    def _refuse(self, code: int, error: WarmrootError) -> None:
        body = {"reason": error.reason, "message": error.message, "hint": error.hint}
        self._answer(code, encode({"error": body}))

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
