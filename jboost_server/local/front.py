"""The three requests of a starting pod, answered on loopback without the web framework.

`jboost run` starts a service for one start, and the application waits for it. Importing the framework takes
longer than everything else that is done before the application starts, so it is left out here. Decisions,
store, keys and messages are the service's own, and so are refusals: for one of these the framework is
imported after all. Builders and people get the whole service (`service.reach`).
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jboost_server import messages
from jboost_server.archives import Archives
from jboost_server.catalogue import Catalogue
from jboost_server.core import layout
from jboost_server.outcomes import Outcomes
from jboost_server.web.tenancy import LOCAL, Local
from warmroot.errors import BadRequest, Bug, NoObject, StoreError, TooLarge, WarmrootError

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

    Handler.catalogue, Handler.tenants = catalogue, Local(token)
    Handler.outcomes, Handler.archives = Outcomes(catalogue), Archives(catalogue)
    server = _Server(("127.0.0.1", 0), Handler)
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Standard error is the application's: what a connection came to is for the log."""
        log.debug("a connection ended", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    catalogue: Catalogue
    tenants: Local
    outcomes: Outcomes
    archives: Archives
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def do_GET(self) -> None:
        found = _ARCHIVE.fullmatch(self.path)
        self._guarded((lambda: self._archive(found[1])) if found else self._nothing)

    def do_POST(self) -> None:
        routes = {"/v1/lookup": self._lookup, "/v1/outcomes": self._outcome}
        self._guarded(routes.get(self.path, self._nothing))

    def _nothing(self) -> None:
        raise NoObject(f"there is no {self.path}")

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
        size = self.archives.size(LOCAL, digest)
        with self.catalogue.store.get(layout.archive(LOCAL, digest)) as opened:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.send_header("ETag", f'"{digest}"')
            self.end_headers()
            try:
                for chunk in opened.chunks:
                    self.wfile.write(chunk)
            except StoreError:
                log.exception("%s could not be read to its end", digest)
                self.close_connection = True  # an answer that began can't become a refusal

    def _body(self, cap: int) -> bytes:
        promised = self.headers.get("Content-Length", "")
        if not promised.isdecimal() or not promised.isascii():
            raise BadRequest("a request without Content-Length")
        if int(promised) > cap:
            raise TooLarge(f"a request of more than {cap} bytes")
        self.unread = False
        return self.rfile.read(int(promised))

    def _guarded(self, answer: Callable[[], None]) -> None:
        """Answers whoever shows the token; whatever fails is an answer, too."""
        self.unread = self.command == "POST"
        try:
            self.pod = self.tenants.identify(self.headers.get("Authorization", "")).pod
            answer()
        except OSError:
            self.close_connection = True  # whoever asked is gone
        except WarmrootError as error:
            self._refuse(error)
        except Exception as error:
            log.exception("a bug")
            self._refuse(Bug(f"{type(error).__name__} in {self.command} {self.path}"))

    def _refuse(self, error: WarmrootError) -> None:
        from jboost_server.web import refusals

        response = refusals.answer(error)
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.unread:
            self.send_header("Connection", "close")  # what was not read would be taken for a request
        self.end_headers()
        self.wfile.write(response.body)

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
