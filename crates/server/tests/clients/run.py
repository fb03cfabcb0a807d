#!/usr/bin/env python3
"""Calls `distilbert serve` with real clients, and runs the examples of docs/serving.md.

    python3 run.py PROGRAM MODEL_FOLDER FOLDER

The clients are installed into FOLDER, in the versions of requirements.txt.
"""

import os
import pathlib
import re
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent


def install(folder: pathlib.Path) -> pathlib.Path:
    """Installs the clients unless they are there, and returns the interpreter that finds them."""
    python = folder / "venv/bin/python"
    wanted = (HERE / "requirements.txt").read_text()
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        venv.create(folder / "venv", with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
        installed.write_text(wanted)
    return python


def serve(program: str, model: str) -> tuple[subprocess.Popen, str]:
    """Starts a server, and returns it with its address."""
    command = [program, "serve", "--port", "0", "--model", f"emotion={model}"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = []
    for line in server.stderr:
        said.append(line)
        if found := re.search(r"listening on http://(\S+)", line):
            # The pipe must not fill up.
            subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
            return server, found[1]
    raise SystemExit("".join(said))


def main() -> int:
    program, model, folder = sys.argv[1:]
    python = install(pathlib.Path(folder).absolute())
    server, address = serve(program, model)
    try:
        environment = {**os.environ, "ADDRESS": address, "PYTHONDONTWRITEBYTECODE": "1"}
        tests = [python, "-m", "unittest", "discover", "--verbose", "--start-directory", HERE]
        failed = subprocess.run(tests, env=environment).returncode
    finally:
        server.terminate()
    stopped = server.wait(timeout=60)
    if stopped:
        print(f"FAILED: the server exited with {stopped}")
    return failed or stopped


if __name__ == "__main__":
    sys.exit(main())
