"""A small system for what needs no Kubernetes: a user with a key, hooks of the first boot, the installer."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from images import recipe as recipes
from images.build import BuiltRelease, Format, build
from images.parts import Hook, User
from images.recipe import Compression, Partitions, Recipe
from testbed.vm.shell import with_shell

MIB = 1 << 20
USER = "ann"
UID = 1500
COUNTED = "/var/lib/counted"
"""Each hook adds its name to this file of the machine."""
_OF_CONTAINERS = ("/usr/lib/cni", "/usr/bin/containerd")


@dataclass(frozen=True)
class Small:
    """A built release, and the private key of its user (OpenSSH's form)."""

    built: BuiltRelease
    private_key: str


def build_one(folder: Path) -> Small:
    """Builds it from packages of its own."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    made = build(recipe(f"{public} a test's"), folder / "out", formats=[Format.RAW, Format.PXE])
    return Small(made, private)


def recipe(public_key: str) -> Recipe:
    """The shipped worker without what makes it one of Kubernetes."""
    worker = with_shell(recipes.find("debian-worker"))
    assert worker.debian is not None
    enabled = tuple(unit for unit in worker.units.enable if unit != "containerd.service")
    return worker.model_copy(
        update={
            "product": "small",
            "kubelet_program": None,
            "proxy": False,
            "compression": Compression.LZ4,
            "partitions": Partitions(boot=48 * MIB, root=160 * MIB, data=64 * MIB),
            "units": worker.units.model_copy(update={"enable": enabled}),
            "remove": tuple(path for path in worker.remove if not path.startswith(_OF_CONTAINERS)),
            "users": (
                User(name=USER, uid=UID, groups=("adm",), shell="/usr/bin/bash", keys=(public_key,)),
                User(name="bob", uid=1501),
            ),
            "first_boot": (
                Hook(name="broken", content=f"#!/bin/sh\necho broken >>{COUNTED}\nexit 3\n"),
                Hook(name="works", content=f"#!/bin/sh\necho works >>{COUNTED}\n"),
            ),
        }
    )
