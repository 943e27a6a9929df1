"""Class lists of hundreds of pods become one: how long each takes to fold in, and that memory stays flat.

The lists are made up: as long as a Spring Boot service's, most of it the same in each, the rest drawn from
what other traffic loads. Each size is merged in a process of its own, so that its largest resident memory is
nobody else's.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
import time

from bench.report import Row
from jboost_server.core.classlist import parse
from jboost_server.core.merge import Merge, decode

FEATURE = 17
COMMON, RARE, EACH = 16_000, 4_000, 1_000
"""Classes that every pod loads, those that some do, and how many of these one does."""
PROXIES = 1_500
LISTS = (50, 500)
FLAT = 1.25
"""Ten times the lists may take so much more memory, and no more."""


def run() -> list[Row]:
    """Both sizes."""
    few, many = (_told(count) for count in LISTS)
    against = f"lists of {few['lines']:,} lines, {few['bytes'] / 2**20:.1f} MiB each"
    return [
        Row("merge", f"{LISTS[1]} lists, all of it", many["seconds"], "s", None, "lower", against),
        Row("merge", "one list, parsed and folded, median", many["each"] * 1000, "ms"),
        Row("merge", "the last list, against the first", many["last"] / many["first"], "x", None),
        Row("merge", f"peak memory with {LISTS[0]} lists", few["peak"], "MiB"),
        Row(
            "merge",
            f"peak memory with {LISTS[1]} lists",
            many["peak"],
            "MiB",
            few["peak"] * FLAT,
            "lower",
            f"{FLAT:g} of what {LISTS[0]} take",
        ),
        Row(
            "merge", "reading the merge back", many["decode"] * 1000, "ms", None, "lower", "each line checked"
        ),
    ]


def _told(count: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.merge", str(count)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _list(number: int) -> bytes:
    """One pod's list, the same for the same number."""
    dice = random.Random(number)
    names = [f"org/example/service/part{at % 97}/Common{at}" for at in range(COMMON)]
    names += [f"org/example/traffic/part{at % 31}/Rare{at}" for at in dice.sample(range(RARE), EACH)]
    lines = [f"{name} id: {at}" for at, name in enumerate(names)]
    lines += [
        f"@lambda-proxy org/example/service/part{at % 97}/Common{at} run ()Ljava/lang/Runnable; ()V"
        f" REF_invokeStatic org/example/service/part{at % 97}/Common{at} lambda$new$0 ()V ()V"
        for at in range(PROXIES)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _merge(count: int) -> dict[str, float]:
    merge, times, size, lines = Merge(FEATURE), [], 0, 0
    for number in range(count):
        data = _list(number)
        size, lines = len(data), data.count(b"\n")
        began = time.perf_counter()
        merge = merge.fold(hashlib.sha256(data).hexdigest(), parse([data], feature=FEATURE, class_path=()))
        times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kept = merge.encode()
    began = time.perf_counter()
    assert decode(kept) == merge
    return {
        "seconds": sum(times),
        "each": sorted(times)[len(times) // 2],
        "first": times[0],
        "last": times[-1],
        "peak": peak,
        "decode": time.perf_counter() - began,
        "bytes": size,
        "lines": lines,
    }


if __name__ == "__main__":
    print(json.dumps(_merge(int(sys.argv[1]))))
