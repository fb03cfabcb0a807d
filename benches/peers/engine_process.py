"""Process of an engine, as seen from the process that compares them; worker.py describes the protocol."""

import contextlib
import json
import subprocess
import sys

import usage


class Worker:
    """Process of an engine."""

    def __init__(self, engine, folder, threads):
        self.engine = engine
        self.process = subprocess.Popen(
            engine.command(folder, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self.read()
        # An engine that chooses its own precision reports the class in which it runs.
        self.precision_class = self.about.get("class", engine.precision_class)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            # Negative: the number of the signal that ended it.
            sys.exit(f"error: {self.engine.label} ended with status {self.process.wait()}")
        return json.loads(line)

    def run(self, batches, repeats, warmup):
        request = {"batches": batches, "repeats": repeats, "warmup": warmup}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def cpu_seconds(self):
        """Returns the CPU time of all threads so far; 0 if /proc doesn't have it."""
        return usage.cpu_seconds(self.process.pid)

    def peak_mib(self):
        """Returns the peak memory so far; None if /proc doesn't have it."""
        return usage.mib(self.process.pid, "VmHWM")

    def close(self):
        # It exits at the end of its input; otherwise it is killed.
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def started(engine, folder, threads):
    worker = Worker(engine, folder, threads)
    try:
        yield worker
    finally:
        worker.close()
