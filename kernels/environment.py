"""Provides NVIDIA's compilers: uses the running interpreter if it has them, or else creates a virtual environment."""

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
    """Returns the version of each package in requirements.txt by name."""
    return dict(line.split("==") for line in REQUIREMENTS.read_text().split())


def installed(name):
    """Returns the installed version of a package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def enter(folder):
    """Makes sure that the interpreter has every package in its exact version, since another compiler version
    generates other text. May restart the script in the virtual environment."""
    missing = [f"{name}=={version}" for name, version in required().items() if installed(name) != version]
    if not missing:
        return
    python = folder.absolute() / "bin/python"
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        print(f"installing {', '.join(missing)} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
    elif not python.exists():
        venv.create(folder, with_pip=True)
    # The environment's interpreter repeats the check.
    os.execv(python, [python, *sys.argv])


def path(package, name):
    """Returns the path of a file or folder that a package installed."""
    return pathlib.Path(importlib.metadata.distribution(package).locate_file(name))
