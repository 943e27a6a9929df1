"""A control plane with a life: started, asked, ended, by this process or by another one."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.controlplane import build, pki, programs
from testbed.controlplane.processes import Identity, Program
from testbed.controlplane.programs import LOOPBACK, Paths, Ports
from warmroot.cache import locked
from warmroot.errors import NetworkError, NotFound, ProgramDied, UserError
from warmroot.kube import kubeconfig
from warmroot.kube.cluster import SERVICE_ACCOUNT, RestCluster
from warmroot.kube.transport import RequestsTransport

NAMES = (programs.ETCD, programs.API_SERVER, programs.CONTROLLERS, programs.SCHEDULER)
NODE_GRACE = 16.0
"""Seconds without a heartbeat after which a node is NotReady: two Leases of 8 s."""
START_WITHIN = 180.0
"""Seconds for each half of a start. Seconds are usual; a machine under load needs more."""
PATIENCE, AT_ONCE = 5.0, 0.5
"""Seconds to end in: etcd has what it keeps to write, and all others would only wait for their clients."""
POLL = 0.1
PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class ProgramStatus:
    """One program: `pid` is None if it does not run."""

    name: str
    pid: int | None
    log: str


@dataclass(frozen=True)
class Status:
    """What runs in a folder. `server` is None if nothing was ever started there."""

    directory: str
    server: str | None
    kubeconfig: str
    ready: bool
    programs: tuple[ProgramStatus, ...]

    @property
    def running(self) -> bool:
        """Whether all programs run."""
        return all(program.pid is not None for program in self.programs)

    def wire(self) -> dict[str, Any]:
        """The status as JSON has it."""
        return asdict(self) | {"running": self.running}


class ControlPlane:
    """etcd, API server, controllers and scheduler on this computer alone, all of it below one folder.

    As a context manager it ends when its block does, and the kernel ends it if this process dies, or the
    thread that called `start`. With `outlives_us` it stays until `stop`, from whatever process. With
    `audit_bodies` the audit log has nodes and our own objects as each write left them. The API server listens
    at `address`: workers with a network of their own (`testbed.workers`) don't see our loopback.
    """

    def __init__(
        self,
        directory: Path,
        *,
        outlives_us: bool = False,
        node_grace: float = NODE_GRACE,
        audit_bodies: bool = False,
        address: str = LOOPBACK,
    ) -> None:
        self.paths = Paths(directory.absolute())
        self._outlives_us = outlives_us
        self._node_grace = node_grace
        self._audit_bodies = audit_bodies
        self._address = address
        self._programs: dict[str, Program] = {}

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.paths.kubeconfig

    @property
    def authority(self) -> Path:
        """The certificate by which its programs know one another, PEM."""
        return self.paths.pki / "ca.crt"

    @property
    def audit_log(self) -> Path:
        """Every request as the API server saw it; `audit.read` reads it."""
        return self.paths.audit_log

    @property
    def server(self) -> str:
        """The API server's address.

        Raises:
            UserError: nothing was started here.
        """
        return kubeconfig.load(self.kubeconfig).server

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Self:
        """A new, empty cluster, ready to use. What an earlier one left in the folder is replaced.

        Raises:
            NotInstalled: the binary is not built.
            UserError: one runs in this folder, or the folder holds somebody else's files.
            ProgramDied: a program ended, or did not get ready in time.
        """
        binaries = build.installed()
        self._claim()
        waiting = f"another start in {self.paths.root} is under way; waiting for it"
        with locked(self.paths.lock, lambda: progress(waiting)), contextlib.ExitStack() as undo:
            if self.status().running:
                raise UserError(
                    f"a control plane runs in {self.paths.root}",
                    hint="use it, or end it with `testbed down`",
                )
            self._end_all()
            self._prepare()
            undo.callback(self._end_all)
            began = time.monotonic()
            progress("etcd and kube-apiserver start")
            self._serve(binaries)
            progress(f"the API server is ready after {time.monotonic() - began:.1f} s")
            self._launch(binaries, programs.controllers(self.paths, self._node_grace))
            self._launch(binaries, programs.scheduler(self.paths))
            with self._open() as transport:
                self._await("the controllers", lambda: _has_default_account(transport))
            progress(f"controllers and scheduler are at work after {time.monotonic() - began:.1f} s")
            undo.pop_all()
        return self

    def stop(self) -> None:
        """Ends the programs of this folder, and only those; what they wrote stays."""
        if self.paths.lock.exists():
            with locked(self.paths.lock, lambda: None):
                self._end_all()

    def remove(self) -> None:
        """Ends the programs and removes what `start` made."""
        if not self.paths.lock.exists():
            return
        self.stop()
        for path in (*self.paths.all, self.paths.lock):
            _remove(path)
        with contextlib.suppress(OSError):  # there is more in it, which is not ours
            self.paths.root.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def status(self) -> Status:
        """What runs, seen from outside."""
        found = []
        for name in NAMES:
            identity = Identity.load(self.paths.pids / name)
            alive = identity is not None and identity.alive
            pid = identity.pid if identity and alive else None
            found.append(ProgramStatus(name, pid, str(self._log(name))))
        known, ready = self.kubeconfig.exists(), False
        if known and found[NAMES.index(programs.API_SERVER)].pid is not None:
            with self._open() as transport:
                ready = _ready(transport)
        return Status(
            directory=str(self.paths.root),
            server=self.server if known else None,
            kubeconfig=str(self.kubeconfig),
            ready=ready,
            programs=tuple(found),
        )

    def issue_kubeconfig(self, user: str, groups: Sequence[str], path: Path) -> Path:
        """Writes a kubeconfig by which the API server knows `user` of `groups`.

        Raises:
            UserError: nothing was started here.
        """
        authority = self._authority()
        credential = authority.client(user, groups)
        content = pki.kubeconfig(self.server, authority.credential.certificate, credential)
        path.parent.mkdir(parents=True, exist_ok=True)
        pki.write_private(path, content)
        return path

    def node_kubeconfig(self, name: str) -> Path:
        """A node's own credential, as its kubelet has it: the Node authorizer limits it to that node."""
        path = self.paths.pki / f"node-{name}.kubeconfig"
        return self.issue_kubeconfig(f"system:node:{name}", ["system:nodes"], path)

    def token_kubeconfig(self, token: str, path: Path) -> Path:
        """A kubeconfig that reads a service account's token from `PATH.token`, which is written too."""
        token_file = path.with_name(f"{path.name}.token")
        path.parent.mkdir(parents=True, exist_ok=True)
        pki.write_private(token_file, token.encode())
        authority = self._authority().credential.certificate
        pki.write_private(path, pki.token_kubeconfig(self.server, authority, token_file))
        return path

    def _authority(self) -> pki.Authority:
        try:
            certificate = self.authority.read_bytes()
            key = (self.paths.pki / "ca.key").read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"no control plane was started in {self.paths.root}") from error
        return pki.Authority(pki.Credential(certificate, key))

    def _claim(self) -> None:
        """Makes the folder ours. One that has a `logs` of somebody else's must not lose it to us."""
        if not self.paths.lock.exists() and any(path.exists() for path in self.paths.all):
            raise UserError(
                f"{self.paths.root} holds files that no control plane made", hint="name an empty folder"
            )
        self.paths.root.mkdir(parents=True, exist_ok=True)
        self.paths.lock.touch()

    def _prepare(self) -> None:
        for path in self.paths.all:
            _remove(path)
        for folder in (self.paths.pki, self.paths.etcd, self.paths.logs, self.paths.pids):
            folder.mkdir(mode=0o700)
        self.paths.audit_policy.write_text(programs.audit_policy(bodies=self._audit_bodies))

    def _keys(self, port: int) -> None:
        authority = pki.Authority.new()
        server = f"https://{self._address}:{port}"
        api = authority.server("kube-apiserver", sorted({self._address, LOOPBACK, *pki.SERVER_NAMES}))
        kubelets = authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        private, public = pki.service_account_keys()
        certificate = authority.credential.certificate
        users = {
            self.paths.pki / "controllers.kubeconfig": authority.client("system:kube-controller-manager"),
            self.paths.pki / "scheduler.kubeconfig": authority.client("system:kube-scheduler"),
            self.kubeconfig: authority.client("testbed-admin", ["system:masters"]),
        }
        files = {
            "ca.crt": certificate,
            "ca.key": authority.credential.key,
            "apiserver.crt": api.certificate,
            "apiserver.key": api.key,
            "kubelets.crt": kubelets.certificate,
            "kubelets.key": kubelets.key,
            "sa.key": private,
            "sa.pub": public,
        }
        for name, data in files.items():
            pki.write_private(self.paths.pki / name, data)
        for path, credential in users.items():
            pki.write_private(path, pki.kubeconfig(server, certificate, credential))

    def _serve(self, binaries: Path) -> None:
        """Starts etcd and API server. Another program may take a port between our choice and our use of it:
        then others are chosen.
        """
        for attempt in range(1, PORT_ATTEMPTS + 1):
            ports = _free_ports()
            self._keys(ports.api)
            try:
                self._launch(binaries, programs.etcd(self.paths, ports))
                self._launch(binaries, programs.api_server(self.paths, ports, self._address))
                with self._open() as transport:
                    self._await("the API server", lambda: _ready(transport))
                return
            except ProgramDied:
                if attempt == PORT_ATTEMPTS or not self._port_was_taken():
                    raise
                self._end_all()
                for stale in (self.paths.etcd, *self.paths.logs.iterdir()):
                    _remove(stale)

    def _launch(self, binaries: Path, command: list[str]) -> None:
        name = command[0]
        self._programs[name] = Program.start(
            command,
            executable=binaries / name,
            log=self._log(name),
            pid_file=self.paths.pids / name,
            dies_with_us=not self._outlives_us,
        )

    def _port_was_taken(self) -> bool:
        logs = [self._log(name) for name in (programs.ETCD, programs.API_SERVER)]
        return any(
            "address already in use" in log.read_text(errors="replace") for log in logs if log.exists()
        )

    def _log(self, name: str) -> Path:
        return self.paths.logs / f"{name}.log"

    def _await(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_WITHIN
        while not done():
            for program in self._programs.values():
                program.check()
            if time.monotonic() > deadline:
                raise ProgramDied(
                    f"{what} did not get ready within {START_WITHIN:.0f} s",
                    hint=f"the logs are in {self.paths.logs}",
                )
            time.sleep(POLL)

    def _open(self) -> contextlib.closing[RequestsTransport]:
        return contextlib.closing(RequestsTransport(str(self.kubeconfig)))

    def _end_all(self) -> None:
        """Ends what this object started or what an earlier process left here, users before servers."""
        for name in reversed(NAMES):
            pid_file = self.paths.pids / name
            program = self._programs.pop(name, None)
            identity = Identity.load(pid_file)
            if program is None and identity is not None:
                program = Program(name, identity, self._log(name))
            if program is not None:
                program.end(PATIENCE if name == programs.ETCD else AT_ONCE)
            pid_file.unlink(missing_ok=True)


def _ready(transport: RequestsTransport) -> bool:
    try:
        return transport.request("GET", "/readyz", timeout=10.0).status == 200
    except NetworkError:
        return False


def _has_default_account(transport: RequestsTransport) -> bool:
    """The last thing that the controllers bring: without it no pod can be created."""
    try:
        RestCluster(transport).get(SERVICE_ACCOUNT, "default", namespace="default")
    except (NotFound, NetworkError):
        return False
    return True


def _free_ports() -> Ports:
    with contextlib.ExitStack() as held:
        numbers = []
        for _ in range(3):
            listener = held.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            numbers.append(int(listener.getsockname()[1]))
    return Ports(*numbers)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
