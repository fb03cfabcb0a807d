"""The Python environment with NVIDIA's compilers: uses the running interpreter if it has them, else makes one."""

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
    return dict(line.split("==") for line in REQUIREMENTS.read_text().split())


def installed(name):
    """The version installed, None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def enter(folder):
    """Returns in an interpreter that has every package in its exact version, for another compiler gives
    other text; the script may start again for that."""
    missing = [f"{name}=={version}" for name, version in required().items() if installed(name) != version]
    if not missing:
        return
    python = folder.absolute() / "bin/python"
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        print(f"installing {', '.join(missing)} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
    elif not python.exists():
        venv.create(folder, with_pip=True)
    # In the environment's own interpreter the check is made again.
    os.execv(python, [python, *sys.argv])


def path(package, name):
    """A file or folder that a package installed."""
    return pathlib.Path(importlib.metadata.distribution(package).locate_file(name))
