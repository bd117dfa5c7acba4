"""The running server under load, against the classifier alone, in one run on one machine.

`dermaloop serve` as a process of its own, a load generator as another, and the classifier alone in this one:
before and after every level of load it classifies the same pictures from memory on all cores, so that what disturbs
the machine disturbs both sides. A client that is refused waits as long as the answer says and tries again, as a client
should. The generator runs on the same machine and takes its share of it; how much, is told.

    python benchmarks/server.py
    python benchmarks/server.py --pictures DATA_FOLDER/ham10000 --requests 24000 --json server.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from pictures import HEIGHT_PX, WIDTH_PX, some
from record import Run

from dermaloop.cases import accounts, tokens
from dermaloop.cases.actor import system
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import open_store
from dermaloop.core.bundle import open_bundle
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.inference.default import default_bundle_path

LEVELS = (1, 2, 4, 8, 16, 32, 64)
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BOUNDARY = "a-boundary-that-no-picture-holds"


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with so many requests in flight.

    `alone_per_s` is the classifier alone just before and after, on all cores, with as many pictures side by side as
    there are cores. With one request in flight there is nothing to do side by side: `single_per_s` is the classifier
    given the next picture when it has answered the one before, on all cores, and None for more requests than one.
    `per_s` counts what was answered until the last request was begun: those after it, and whoever then still waits as
    long as a refusal told, have nobody beside them. `seconds` is the whole time.
    Latencies are those of answered requests, each from its own sending; the waiting after a refusal is not in them.
    Processor times are per answered request.
    """

    in_flight: int
    answered: int
    refused: int
    seconds: float
    per_s: float
    alone_per_s: float
    share: float
    single_per_s: float | None
    single_share: float | None
    p50_ms: float
    p99_ms: float
    worst_ms: float
    server_cpu_ms: float
    alone_cpu_ms: float
    generator_cpu_ms: float
    rss_mb: float


# -- the load generator, in a process of its own ----------------------------------------------------------------------


def form(picture: bytes) -> bytes:
    """A picture as the body of a multipart request."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()


async def generate(address: str, token: str, bodies: list[bytes], in_flight: int, requests: int) -> dict[str, Any]:
    """Keeps so many requests in flight until so many have been answered, each client on a connection that it keeps.

    Requests are put together beforehand and of an answer only what is needed is read: the generator runs on the cores
    that are measured, and what an HTTP library does beside this took twice the processor time and more.

    Raises:
        SystemExit: The server answered with something else than an assessment or a refusal.
    """
    place = urlsplit(address)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\nContent-Length: "
    )
    ready = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    latencies: list[float] = []
    refused = begun = busy = 0
    until = 0.0

    async def client() -> None:
        nonlocal refused, begun, busy, until
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while begun < requests:
            begun += 1
            if begun == requests:  # from here on clients fall idle
                until, busy = time.perf_counter(), len(latencies)
            request = ready[begun % len(ready)]
            while True:
                sent = time.perf_counter()
                writer.write(request)
                status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
                text = await reader.readexactly(int(headers["content-length"]))
                if status == 200:
                    latencies.append(time.perf_counter() - sent)
                    break
                if status != 503 or "retry-after" not in headers:
                    raise SystemExit(f"{status}: {text[:300]!r}")
                refused += 1
                await asyncio.sleep(int(headers["retry-after"]))
                if headers.get("connection") == "close":
                    writer.close()
                    reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.close()

    start, used = time.perf_counter(), time.process_time()  # without starting up
    await asyncio.gather(*(client() for _ in range(in_flight)))
    used = time.process_time() - used
    return {
        "latencies": latencies, "refused": refused, "cpu_s": used, "per_s": busy / (until - start),
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, names in lower case."""
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    named = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in named}


def load(address: str, token: str, folder: Path, in_flight: int, requests: int) -> dict[str, Any]:
    """Runs the generator as a process and gives what it measured."""
    ran = subprocess.run(
        [sys.executable, __file__, "--generate", address, str(folder), str(in_flight), str(requests)],
        input=token,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"the load generator failed: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


# -- the server, and the classifier alone -----------------------------------------------------------------------------


@contextlib.contextmanager
def serving(folder: Path, bundle: Path, port: int | None, processes: int = 0) -> Iterator[tuple[int, str, str]]:
    """Runs the server; gives its process id, the address to classify at, and a token."""
    store = open_store(folder / "store")
    with store.database.begin() as transaction:
        account = accounts.create(transaction, system("benchmark"), "benchmark", Role.VIEWER)
        token, _ = tokens.make(
            transaction, system("benchmark"), account.id, name="benchmark", scopes=[Scope.CLASSIFY], days=1
        )
    store.close()
    command = ["-c", "from dermaloop.cli import main; main()", "serve", "--store", str(folder / "store")]
    command += ["--bundle", str(bundle)] + ([] if port is None else ["--port", str(port)])
    environment = os.environ | {"DERMALOOP_PROCESSES": str(processes)}
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"dermaloop is ready: (http://[^/]+)/", line)
            if found is None:
                raise SystemExit("the server did not start")
            yield process.pid, f"{found[1]}/api/v1/classify", token
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def family(pid: int) -> list[int]:
    """A process and those that it began."""
    children = [Path(f"/proc/{pid}/task/{task.name}/children") for task in Path(f"/proc/{pid}/task").iterdir()]
    return [pid, *(int(word) for path in children for word in path.read_text().split())]


def cpu_s(pid: int) -> float:
    """Processor time that a process and those that it began have used, all threads, in seconds."""
    stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family(pid)]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) * _TICK_S


def rss_mb(pid: int) -> float:
    """Memory that a process and those that it began hold, in MB; what they share is counted for each."""
    found = [re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{one}/status").read_text()) for one in family(pid)]
    return sum(int(one[1]) for one in found if one) / 1000


class Memory:
    """Notes a process's memory four times a second, in the background."""

    def __init__(self, pid: int) -> None:
        self.rows: list[tuple[float, float]] = []
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.rows.append((time.perf_counter(), rss_mb(self._pid)))

    def __enter__(self) -> Self:
        """Begins."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        self._over.set()
        self._thread.join()


def alone(classifier: Classifier, pictures: list[bytes], count: int) -> tuple[float, float]:
    """The classifier on all cores: (pictures per second, processor milliseconds per picture)."""
    items = [Item("a.jpg", pictures[number % len(pictures)]) for number in range(count)]
    start, used = time.perf_counter(), time.process_time()
    for _ in classifier.classify_many(items):
        pass
    return count / (time.perf_counter() - start), 1000 * (time.process_time() - used) / count


def single(classifier: Classifier, pictures: list[bytes], count: int) -> float:
    """The classifier on all cores, one picture after the other: pictures per second."""
    start = time.perf_counter()
    for number in range(count):
        classifier.classify(pictures[number % len(pictures)], "a.jpg")
    return count / (time.perf_counter() - start)


def measure(
    given: argparse.Namespace, classifier: Classifier, pictures: list[bytes], folder: Path
) -> tuple[list[Level], list[tuple[float, float]]]:
    """Every level once, the classifier alone between them."""
    levels = []
    with (
        serving(folder, classifier_path(given), given.port, given.processes) as (pid, address, token),
        Memory(pid) as memory,
    ):
        load(address, token, folder / "pictures", 4, max(50, given.requests // 50))  # warm
        alone(classifier, pictures, given.alone)
        before = alone(classifier, pictures, given.alone)
        for in_flight in given.levels:
            singles = [single(classifier, pictures, given.alone)] if in_flight == 1 else []
            used = cpu_s(pid)
            found = load(address, token, folder / "pictures", in_flight, given.requests // len(given.levels))
            used = cpu_s(pid) - used
            singles += [single(classifier, pictures, given.alone)] if in_flight == 1 else []
            after = alone(classifier, pictures, given.alone)
            answered = len(found["latencies"])
            latencies = 1000 * np.asarray(found["latencies"])
            both = statistics.harmonic_mean([before[0], after[0]])
            single_per_s = statistics.harmonic_mean(singles) if singles else None
            per_s = found["per_s"]
            level = Level(
                in_flight=in_flight,
                answered=answered,
                refused=found["refused"],
                seconds=found["seconds"],
                per_s=per_s,
                alone_per_s=both,
                share=per_s / both,
                single_per_s=single_per_s,
                single_share=per_s / single_per_s if single_per_s else None,
                p50_ms=float(np.median(latencies)),
                p99_ms=float(np.percentile(latencies, 99)),
                worst_ms=float(latencies.max()),
                server_cpu_ms=1000 * used / answered,
                alone_cpu_ms=(before[1] + after[1]) / 2,
                generator_cpu_ms=1000 * found["cpu_s"] / answered,
                rss_mb=rss_mb(pid),
            )
            print(row(level), file=sys.stderr, flush=True)
            levels.append(level)
            before = after
        return levels, memory.rows


def classifier_path(given: argparse.Namespace) -> Path:
    """The bundle to serve."""
    return given.bundle or default_bundle_path()


# -- what is printed --------------------------------------------------------------------------------------------------

HEADER = (
    "| In flight | Answered/s | Of the classifier alone | p50 ms | p99 ms | Refused | CPU ms, server | alone | "
    "generator | Memory MB |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def row(level: Level) -> str:
    """One line of the table."""
    return (
        f"| {level.in_flight} | {level.per_s:.1f} | {level.share:.2f} | {level.p50_ms:.0f} | {level.p99_ms:.0f} | "
        f"{level.refused} | {level.server_cpu_ms:.1f} | {level.alone_cpu_ms:.1f} | {level.generator_cpu_ms:.1f} | "
        f"{level.rss_mb:.0f} |"
    )


def growth(rows: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Memory in MB: the median of the second tenth of the time, that of the last, and the most."""
    values = [value for _, value in rows]
    tenth = max(1, len(values) // 10)
    return statistics.median(values[tenth : 2 * tenth] or values), statistics.median(values[-tenth:]), max(values)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2100, help="answered requests, all levels together")
    parser.add_argument("--levels", type=lambda text: [int(part) for part in text.split(",")], default=list(LEVELS))
    parser.add_argument("--alone", type=int, default=300, help="pictures that the classifier alone does each time")
    parser.add_argument("--pictures", type=Path, help="folder of photographs; without it, drawn ones")
    parser.add_argument(
        "--size", type=lambda text: [int(part) for part in text.split("x")], default=[WIDTH_PX, HEIGHT_PX],
        help="of drawn pictures, e.g. 4000x3000",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=100, help="different pictures")
    parser.add_argument("--bundle", type=Path, help="bundle to serve; without it, the one that ships")
    parser.add_argument("--port", type=int, help="port of the server; without it, the first free one from 8000 on")
    parser.add_argument("--processes", type=int, default=0, help="that the server assesses in; see DERMALOOP_PROCESSES")
    parser.add_argument("--json", type=Path, help="file to write everything into")
    parser.add_argument("--generate", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Prints the table, and writes everything as JSON where asked."""
    given = arguments()
    if given.generate:
        address, folder, in_flight, requests = given.generate
        bodies = [form(path.read_bytes()) for path in sorted(Path(folder).iterdir())]
        found = asyncio.run(generate(address, sys.stdin.read(), bodies, int(in_flight), int(requests)))
        print(json.dumps(found))
        return
    run = Run()
    pictures, what = some(given.count, given.pictures, *given.size)
    classifier = Classifier(open_bundle(classifier_path(given)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        for number, picture in enumerate(pictures):
            (folder / "pictures" / f"{number:04d}").write_bytes(picture)
        print(HEADER, file=sys.stderr)
        levels, memory = measure(given, classifier, pictures, folder)
    early, late, most = growth(memory)
    size_kb = statistics.mean(len(picture) for picture in pictures) / 1000
    print(f"{run}; {classifier.bundle.identity}; {what}, {size_kb:.0f} kB on average\n\n{HEADER}")
    for level in levels:
        print(row(level))
    total = sum(level.answered for level in levels)
    print(f"\nMemory over {total:,} requests: {early:.0f} MB early, {late:.0f} MB at the end, {most:.0f} MB at most.")
    if given.json:
        begun = memory[0][0]
        run.write(
            given.json,
            {
                "bundle": classifier.bundle.identity,
                "processes": given.processes,
                "pictures": what,
                "bytes": 1000 * size_kb,
                "levels": [asdict(level) for level in levels],
                "requests": total,
                "memory_mb": {
                    "early": early,
                    "late": late,
                    "most": most,
                    # (seconds since the begin, MB), thinned to what a plot can show
                    "over_time": [(round(at - begun), round(mb)) for at, mb in memory[:: len(memory) // 100 + 1]],
                },
            },
        )


if __name__ == "__main__":
    main()
