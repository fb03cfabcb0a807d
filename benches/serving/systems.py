"""The systems that are compared: how each is started, asked and read."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
OURS = "distilbert"
# Options of `distilbert serve` by policy. A batch of one token is a batch of one text.
POLICIES = {
    "batches": [],
    "one thread": ["--batch-tokens", "1"],
    "all threads": ["--batch-tokens", "1", "--threads-per-batch", str(os.cpu_count())],
}
START_SECONDS = 180
STOP_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class System:
    """A server in one configuration."""

    name: str
    precision: str
    # Command without the port, which is its last argument.
    command: tuple[str, ...]
    policy: str = ""
    path: str = "/predict"
    # Fields of a request beside the text.
    fields: tuple[tuple[str, str], ...] = ()
    input_field: str = "inputs"
    is_list: bool = False

    @property
    def label(self):
        return " ".join(part for part in (self.name, self.precision, self.policy) if part)

    def body(self, text):
        return json.dumps({self.input_field: [text] if self.is_list else text} | dict(self.fields))

    def scores(self, answer):
        """Returns the score of each label in an answer."""
        answer = json.loads(answer)
        ranking = answer["data"][0] if self.is_list else answer
        return {entry["label"]: entry["score"] for entry in ranking}


def ours(program, folder, precision, policy):
    command = (program, "serve", "--model", str(folder), "--precision", precision, *POLICIES[policy], "--port")
    return System(OURS, precision, command, policy)


def service(name, folder, precision):
    """Returns a peer that is a script in this folder."""
    script = HERE / f"peer_{name}.py"
    return System(f"{name} + onnxruntime", precision, (sys.executable, str(script), str(folder), precision))


def infinity(python, folder):
    program = pathlib.Path(python).parent / "infinity_emb"
    options = "--engine torch --device cpu --dtype float32 --no-bettertransformer --no-model-warmup --log-level warning"
    command = (str(program), "v2", "--model-id", str(folder), "--served-model-name", "model", *options.split(), "--port")
    return System("infinity", "f32", command, path="/classify", fields=(("model", "model"),), input_field="input", is_list=True)


class Running:
    """A server that has been started."""

    def __init__(self, system, log):
        self.system = system
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [*system.command, str(self.port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def wait(self):
        """Waits until the server answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.system.label} ended with status {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
                self.answer("a")
                return
            time.sleep(0.2)
        raise RuntimeError(f"{self.system.label} did not answer within {START_SECONDS} s")

    def answer(self, text):
        """Returns the body of the response to a text."""
        return self.answers([text])[0]

    def answers(self, texts):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        bodies = []
        with contextlib.closing(connection):
            for text in texts:
                connection.request("POST", self.system.path, self.system.body(text), {"content-type": "application/json"})
                response = connection.getresponse()
                bodies.append(response.read())
                if response.status != 200:
                    raise RuntimeError(f"{self.system.label} answered {response.status}: {bodies[-1][:200]}")
        return bodies

    def get(self, path):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def signal(self, number):
        """Sends a signal to all of the server's processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    @contextlib.contextmanager
    def awake(self):
        """Lets the server run for as long as the context lasts, and stops it afterwards."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        # Workers of servers that leave them behind.
        self.signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def started(systems, log):
    """Starts systems one after the other; those that don't start are named and left out."""
    running = []
    try:
        for system in systems:
            server = Running(system, log)
            try:
                server.wait()
                running.append(server)
                print(f"  started {system.label}", flush=True)
            except RuntimeError as error:
                server.stop()
                print(f"{system.label}: skipped: {error}", flush=True)
        yield running
    finally:
        for server in running:
            server.stop()
