"""The root file system as a folder: from a recipe's files alone, or laid over Debian packages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from images import initrd, kubelet, logins, nodehalf
from images.debian import bootstrap, system
from images.debian.system import Installed
from images.parts import Hook
from images.recipe import File, Recipe
from images.secureboot import keys, programs, signing
from images.secureboot.programs import Programs
from images.timing import Steps
from warmroot.errors import UserError

_NODE_SCRIPTS = ("give-up", "mark", "on-trial", "record", "status")
_NODE_UNITS = ("warmroot-boot-guard.timer", "warmroot-status.service")
_NODE_OTHER_UNITS = ("warmroot-boot-guard.service",)
_NODE_DROP_INS = {"emergency.conf": "emergency.service.d/10-warmroot.conf"}
_HOOKS_UNIT = "warmroot-first-boot.service"
_STUB_KERNEL = "WARMROOT-STUB-KERNEL\n"
_STUB_INITRD = b"WARMROOT-STUB-INITRD\n"


@dataclass(frozen=True)
class Assembled:
    """What belongs to a tree: the kernel that starts it, and the packages that it is made of."""

    vmlinuz: bytes
    initrd: bytes
    kernel_version: str
    packages: tuple[Installed, ...] = ()
    kernel_options: str = ""
    """What a kernel from a package was built with."""
    programs: Programs | None = None
    """What a signed boot image and its loaders are made of; None without Secure Boot."""
    installer: bytes = b""
    """The initrd that installs a machine, but for its list; empty if it was not asked for."""


def check(recipe: Recipe) -> None:
    """Refuses before the long work what would fail after it.

    Raises:
        UserError: a source file can't be read, or this process may not do what the recipe needs.
        NotInstalled: Debian's tools or keys are missing.
        StepFailed: apt failed.
    """
    kernel = recipe.kernel
    sources = [(f"files {file.path}", file.from_) for file in recipe.files]
    sources += [("trustedRoot", recipe.trusted_root), ("kernel.file", kernel.file)]
    sources += [("kernel.initrd", kernel.initrd)]
    sources += [(f"firstBoot {hook.name}", hook.from_) for hook in recipe.first_boot]
    program = recipe.kubelet_program
    sources += [("kubeletProgram.file", program.file if program else None)]
    for field, path in sources:
        if path is not None:
            with _named(path, field), path.open("rb"):
                pass
    if recipe.secure_boot is not None:
        keys.load(recipe.secure_boot.keys)
        signing.check()
    if recipe.debian is not None:
        bootstrap.check(recipe.debian)
    if program is not None:
        kubelet.check(program, recipe.kubelet)


def assemble(recipe: Recipe, tree: Path, steps: Steps, *, installer: bool = False) -> Assembled:
    """Makes the new folder `tree`; with `installer` also what installs a machine from the network.

    Raises:
        UserError: a source file is missing, or paths contradict one another.
        NotInstalled, StepFailed: a program is missing or failed.
    """
    if recipe.debian is not None:
        return _of_debian(recipe, tree, steps, installer)
    with steps.step("tree"):
        tree.mkdir()
        _put_files(recipe, tree)
    kernel = recipe.kernel
    assert kernel.version is not None
    if kernel.stub is not None:
        stub = kernel.stub
        text = f"{_STUB_KERNEL}behaviour={stub.behaviour}\nboot_seconds={stub.boot_seconds}\n"
        return Assembled(text.encode(), _STUB_INITRD, kernel.version)
    assert kernel.file is not None
    assert kernel.initrd is not None
    return Assembled(_read(kernel.file, "kernel.file"), _read(kernel.initrd, "kernel.initrd"), kernel.version)


def _of_debian(recipe: Recipe, tree: Path, steps: Steps, installer: bool) -> Assembled:
    assert recipe.debian is not None
    assert recipe.kernel.package is not None
    needed = (
        *(nodehalf.PACKAGES if recipe.proxy else ()),
        *(kubelet.PACKAGES if recipe.kubelet_program else ()),
        *logins.packages(recipe.users),
    )
    debian = recipe.debian.model_copy(update={"packages": (*recipe.debian.packages, *needed)})
    with steps.step("packages") as doing:
        fetched = tree.with_name("fetched")
        beside = programs.PACKAGES if recipe.secure_boot else ()
        package = bootstrap.bootstrap(
            debian, recipe.kernel.package, tree, fetched, doing=doing, beside=beside
        )
        signed = programs.unpack(fetched / bootstrap.BESIDE) if beside else None
        shown = _in_boot_images(fetched / bootstrap.BESIDE) if beside else ()
        listed = system.packages(tree, package, *shown)
        logins.add(tree, recipe.users)
    with steps.step("kernel"):
        kernel = system.unpack_kernel(tree, package)
        system.remove(tree, recipe.remove)
        system.index_modules(tree, kernel)
    with steps.step("initrd"):
        drivers, cards = recipe.kernel.initrd_modules, recipe.kernel.network_modules
        started = initrd.build(tree, kernel.version, drivers)
        installing = initrd.installer(tree, kernel.version, drivers, cards) if installer else b""
    if recipe.proxy:
        with steps.step("proxy"):
            listed += nodehalf.install(tree)
    if recipe.kubelet_program is not None:
        with steps.step("kubelet") as doing:
            listed += kubelet.install(tree, recipe.kubelet_program, recipe.kubelet, doing)
    with steps.step("system"):
        enabled = (*_put_scripts(tree, recipe), *recipe.units.enable)
        _put_files(recipe, tree)
        system.set_units(tree, recipe.units.model_copy(update={"enable": enabled}))
        listed = tuple(sorted(listed))
        system.settle(tree, recipe.debian.suite, listed)
    return Assembled(kernel.image, started, kernel.version, listed, kernel.options, signed, installing)


def _in_boot_images(beside: Path) -> Iterator[Path]:
    """Of the packages that are not installed, those whose code is in a boot image."""
    yield from beside.glob(f"{programs.STUB_PACKAGE}_*.deb")


def os_release(recipe: Recipe) -> str:
    """What `/usr/lib/os-release` says; the proxy reads product and version from it."""
    like = "ID_LIKE=debian\n" if recipe.debian is not None else ""
    return (
        f'ID=warmroot\n{like}NAME="{recipe.product}"\nPRETTY_NAME="{recipe.product} {recipe.version}"\n'
        f"VERSION_ID={recipe.version}\nIMAGE_ID={recipe.product}\nIMAGE_VERSION={recipe.version}\n"
        f"ARCHITECTURE={recipe.arch}\n"
    )


def _put_scripts(tree: Path, recipe: Recipe) -> tuple[str, ...]:
    """What every node of ours runs, from `images/node`; gives the units to enable."""
    source = files("images") / "node"
    enabled = (*_NODE_UNITS, *(nodehalf.UNITS if recipe.proxy else ()))
    scripts = (*_NODE_SCRIPTS, *(nodehalf.SCRIPTS if recipe.proxy else ()))
    for name in scripts:
        _put(tree, f"usr/lib/warmroot/{name}", (source / name).read_bytes(), 0o755)
    for name in (*enabled, *_NODE_OTHER_UNITS):
        _put(tree, f"usr/lib/systemd/system/{name}", (source / name).read_bytes(), 0o644)
    for name, drop_in in _NODE_DROP_INS.items():
        _put(tree, f"usr/lib/systemd/system/{drop_in}", (source / name).read_bytes(), 0o644)
    if recipe.kubelet_program is not None:
        for name, place in kubelet.FILES.items():
            _put(tree, place, (source / name).read_bytes(), 0o644)
        enabled += kubelet.UNITS
    if logins.wanted(recipe.users):
        for name, place in logins.FILES.items():
            _put(tree, place, (source / name).read_bytes(), 0o644)
        enabled += logins.UNITS
    if recipe.first_boot:
        _put_hooks(tree, recipe.first_boot)
        _put(tree, "usr/lib/warmroot/first-boot", (source / "first-boot").read_bytes(), 0o755)
        _put(tree, f"usr/lib/systemd/system/{_HOOKS_UNIT}", (source / _HOOKS_UNIT).read_bytes(), 0o644)
        enabled += (_HOOKS_UNIT,)
    return enabled


def _put_hooks(tree: Path, hooks: tuple[Hook, ...]) -> None:
    """Numbered, so that a list of the folder is in the recipe's order."""
    for number, hook in enumerate(hooks, start=1):
        data = _read(hook.from_, f"firstBoot {hook.name}") if hook.from_ else (hook.content or "").encode()
        _put(tree, f"usr/lib/warmroot/first-boot.d/{number:02d}-{hook.name}", data, 0o755)


def _put_files(recipe: Recipe, tree: Path) -> None:
    for file in recipe.files:
        _put(tree, file.path[1:], content(file), int(file.mode, 8))
    _put(tree, "usr/lib/os-release", os_release(recipe).encode(), 0o644)
    if recipe.trusted_root is not None:
        _put(tree, "usr/share/warmroot/root.json", _read(recipe.trusted_root, "trustedRoot"), 0o644)


def _put(tree: Path, name: str, data: bytes, mode: int) -> None:
    """Nothing is written through a link: it could lead out of the tree."""
    path = tree
    try:
        for part in Path(name).parts[:-1]:
            path = path / part
            if path.is_symlink():
                raise UserError(
                    f"files: /{path.relative_to(tree)} is a link of a package",
                    hint="name the place that it leads to",
                )
            if not path.is_dir():
                path.mkdir()
                path.chmod(0o755)
        path = tree / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(
            f"files: {error.filename} is both a file and a folder", hint="correct the paths in files"
        ) from error
    path.chmod(mode)


def content(file: File) -> bytes:
    """The bytes of one file.

    Raises:
        UserError: it can't be read.
    """
    if file.generate is not None:
        return hashlib.shake_128(file.generate.seed.encode()).digest(file.generate.bytes)
    if file.from_ is not None:
        return _read(file.from_, f"files {file.path}")
    return (file.content or "").encode()


def _read(path: Path, field_name: str) -> bytes:
    with _named(path, field_name):
        return path.read_bytes()


@contextmanager
def _named(path: Path, field_name: str) -> Iterator[None]:
    """An error about a file says which field names it."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{field_name}: {path} can't be read: {error.strerror}",
            hint="a relative path begins at the recipe's folder",
        ) from error
