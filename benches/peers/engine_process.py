"""Process of an engine, as seen from the process that compares them; worker.py describes the protocol."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys


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
        try:
            stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        # Fields after the program's name, which may contain spaces: 11 is user time, 12 is system time.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        """Returns the peak memory so far; None if /proc doesn't have it."""
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return None

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
