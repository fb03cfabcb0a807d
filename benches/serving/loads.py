"""Turns of load on the servers, and the figures that add up from them."""

import collections
import dataclasses
import json
import pathlib
import subprocess
import tempfile

import usage
from systems import OURS

OPEN_CONNECTIONS = 128
# Texts that lie between the first texts of two rounds.
STRIDE = 997
# Prefix of the names of the threads on which this server computes.
WORKERS = "batcher-"


@dataclasses.dataclass(frozen=True)
class Load:
    """A number of connections, or a share of the capacity in requests per second."""

    connections: int = 0
    share: float = 0.0

    @property
    def label(self):
        return f"{self.connections} connections" if self.connections else f"{self.share:.0%} of capacity"


CLOSED = [Load(connections=count) for count in (1, 4, 16, 64)]
OPEN = [Load(share=share) for share in (0.5, 0.9)]


@dataclasses.dataclass
class Figure:
    """What one server did under one load, in all turns."""

    label: str
    load: str
    requests: int = 0
    failures: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    # Of threads other than those that compute; only for this server.
    http_seconds: float | None = None
    # Number of requests by microseconds.
    latencies: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    @property
    def rate(self):
        return self.requests / self.seconds

    @property
    def cpu_ms(self):
        """CPU milliseconds a request, which is CPU seconds a thousand."""
        return self.cpu_seconds / max(1, self.requests) * 1e3

    def milliseconds(self, share):
        """Returns the latency that a share of the requests didn't exceed."""
        left = share * sum(self.latencies.values())
        for microseconds in sorted(self.latencies):
            left -= self.latencies[microseconds]
            if left <= 0:
                return microseconds / 1e3
        return float("nan")

    def as_row(self):
        row = dataclasses.asdict(self)
        del row["latencies"]
        percentiles = {f"p{100 * share:g}_ms": self.milliseconds(share) for share in (0.5, 0.99, 0.999)}
        return row | {"rate": self.rate, "cpu_ms": self.cpu_ms} | percentiles


class Driver:
    """The program that sends the requests, from a process of its own."""

    def __init__(self, program, texts):
        self.program, self.texts = program, texts
        self.folder = tempfile.TemporaryDirectory()
        self.figures = {}

    def bodies(self, system):
        """Returns a file with the request for each text."""
        path = pathlib.Path(self.folder.name) / system.label.replace(" ", "-")
        if not path.exists():
            path.write_text("".join(system.body(text) + "\n" for text in self.texts))
        return path

    def warm_up(self, server, seconds):
        self.send(server, ["closed", "8"], seconds, 0)

    def turn(self, server, load, seconds, number):
        """Loads a server and adds what it did to its figure."""
        system, pid = server.system, server.process.pid
        figure = self.figures.setdefault((system.label, load), Figure(system.label, load.label))
        if load.connections:
            kind = ["closed", str(load.connections)]
        else:
            kind = ["open", str(load.share * self.capacity(system)), str(OPEN_CONNECTIONS)]
        cpu, workers = usage.tree_cpu_seconds(pid), usage.thread_seconds(pid, WORKERS)
        done = self.send(server, kind, seconds, number * STRIDE)
        cpu, workers = usage.tree_cpu_seconds(pid) - cpu, usage.thread_seconds(pid, WORKERS) - workers
        succeeded = done["statuses"].get("200", 0)
        figure.requests += succeeded
        figure.failures += done["failed"] + sum(done["statuses"].values()) - succeeded
        figure.seconds += done["seconds"]
        figure.cpu_seconds += cpu
        if system.name == OURS:
            figure.http_seconds = (figure.http_seconds or 0.0) + cpu - workers
        figure.latencies.update(dict(done["latencies"]))

    def capacity(self, system):
        """Returns the largest number of requests a second with any number of connections."""
        return max(self.figures[system.label, load].rate for load in CLOSED)

    def send(self, server, kind, seconds, first):
        arguments = [server.address, server.system.path, self.bodies(server.system), str(first), *kind, str(seconds)]
        done = subprocess.run([self.program, *arguments], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)
