"""What is known of a recording that is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jboost_server.core.orders import Form
from warmroot.canonical import Fields, check_integer, encode
from warmroot.errors import StoreBroken


@dataclass(frozen=True)
class Facts:
    """Its form and size in bytes, how long it ran in seconds, the requests served in it, and when it came."""

    form: Form
    size: int
    seconds: int
    requests: int
    at: int

    def __post_init__(self) -> None:
        check_integer("size", self.size, least=1)
        for name in ("seconds", "requests", "at"):
            check_integer(name, getattr(self, name), least=0)

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode(
            {
                "form": self.form.value,
                "size": self.size,
                "seconds": self.seconds,
                "requests": self.requests,
                "at": self.at,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Facts:
        """The facts in these bytes.

        Raises:
            StoreBroken: they are not what `encode` wrote.
        """
        try:
            fields = Fields("facts", json.loads(data))
            facts = cls(
                Form(fields.text("form")),
                fields.integer("size"),
                fields.integer("seconds"),
                fields.integer("requests"),
                fields.integer("at"),
            )
            fields.finish()
        except (ValueError, RecursionError) as error:
            raise StoreBroken(f"not the facts of a recording: {error}") from error
        return facts
