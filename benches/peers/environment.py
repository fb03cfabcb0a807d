"""The Python environment: uses the running interpreter if it has every module, else makes one."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_FOLDER = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


def required():
    """Name → version of each package in requirements.txt."""
    lines = REQUIREMENTS.read_text().split()
    return dict(line.split("==") for line in lines)


def installed(name):
    """The version installed, None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def enter(folder):
    """Returns in an interpreter that has every package; the script may start again for that."""
    missing = [name for name in required() if installed(name) is None]
    if not missing:
        return
    python = folder.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        print(f"installing {', '.join(missing)} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
    elif not python.exists():
        venv.create(folder, with_pip=True)
    # In the environment's own interpreter the check is made again.
    os.execv(python, [python, *sys.argv])
