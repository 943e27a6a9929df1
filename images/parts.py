"""Parts of a recipe that make a whole operating system: Debian packages, users, units."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from warmroot.release.manifest import check_name


class Part(BaseModel):
    """Base of every part: camelCase keys, unknown ones refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def _name(value: str) -> str:
    check_name("it", value)
    return value


def _beside_recipe(value: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("base", "."), value)


def absolute(value: str) -> str:
    """The value, if it is an absolute path in its shortest form.

    Raises:
        ValueError: it is none.
    """
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or value == "/":
        raise ValueError("must be an absolute path without . and .. and //")
    return value


Name = Annotated[str, AfterValidator(_name)]
Source = Annotated[Path, AfterValidator(_beside_recipe)]
"""A file; a relative path begins at the recipe's folder."""
AbsolutePath = Annotated[str, AfterValidator(absolute)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
UserName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
UnitName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|path|mount|automount|swap|slice)$"),
]
SshKey = Annotated[str, Field(pattern=r"^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?$")]


class Debian(Part):
    """Packages of one Debian release. The builder adds what every image of ours needs."""

    suite: Name = Field(description="Codename of the Debian release.")
    mirrors: tuple[Annotated[str, Field(pattern=r"^[a-z+]+:[^\s]+ [^\s]+( [a-z0-9-]+)+$")], ...] = Field(
        default=(),
        description="Where from: `ADDRESS SUITE COMPONENT...` each; default: the building machine's.",
    )
    packages: tuple[PackageName, ...] = Field(
        default=(), description="Packages; what they depend on comes too, what they recommend does not."
    )


class User(Part):
    """A user of the system, without a password."""

    name: UserName = Field(description="Its name.")
    uid: int = Field(ge=1, le=59999, description="Its number, and that of its own group.")
    groups: tuple[UserName, ...] = Field(default=(), description="Further groups; they must exist.")
    shell: AbsolutePath = Field(default="/usr/sbin/nologin", description="Its login shell.")
    keys: tuple[SshKey, ...] = Field(
        default=(), description="SSH keys that may log in as it; with the first one comes an SSH server."
    )


class Hook(Part):
    """A program that runs as root at a machine's first start. One that fails runs again at the next start."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = Field(
        description="Its name; another name is another hook, also on a machine that started before."
    )
    content: str | None = Field(default=None, pattern=r"^#!/", description="A script.")
    from_: Source | None = Field(default=None, alias="from", description="A file to copy.")

    @model_validator(mode="after")
    def _one(self) -> Hook:
        if (self.content is None) == (self.from_ is None):
            raise ValueError("give exactly one of content, from")
        return self


class KubeletProgram(Part):
    """Where the kubelet is from. Settings of containerd, a pause image and folders of a network come too."""

    modules: bool = Field(default=False, description="Compile it, by the module hashes that we ship.")
    file: Source | None = Field(default=None, description="A program to copy.")

    @model_validator(mode="after")
    def _one(self) -> KubeletProgram:
        if self.modules == (self.file is not None):
            raise ValueError("give exactly one of modules, file")
        return self


class SecureBoot(Part):
    """Signs what firmware starts. Such a release starts under UEFI alone."""

    keys: Source = Field(description="Folder of keys that `warmroot image create-keys` made.")


class Units(Part):
    """What systemd starts. Units that are neither enabled here nor wanted by systemd's own stay off."""

    enable: tuple[UnitName, ...] = Field(
        default=(), description="Units to start, by their [Install] section."
    )
    mask: tuple[UnitName, ...] = Field(default=(), description="Units that nothing can start.")

    @model_validator(mode="after")
    def _one_way(self) -> Units:
        both = sorted(set(self.enable) & set(self.mask))
        if both:
            raise ValueError(f"{', '.join(both)} can't be both enabled and masked")
        return self


def twice(values: list[str]) -> list[str]:
    """Values that are there more than once, sorted."""
    return sorted({value for value in values if values.count(value) > 1})
