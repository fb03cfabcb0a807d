"""The Python environment: the running interpreter if it has every package, otherwise a new virtual environment."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_FOLDER = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


def required(requirements=REQUIREMENTS):
    """Returns the version of each package in a file and those that it refers to, by name."""
    versions = {}
    for line in requirements.read_text().splitlines():
        if line.startswith("-r "):
            versions |= required(requirements.parent / line.removeprefix("-r "))
        else:
            name, version = line.split("==")
            versions[name.partition("[")[0]] = version
    return versions


def installed(name):
    """Returns the installed version, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def enter(folder, requirements=REQUIREMENTS):
    """Ensures that the interpreter has every package, restarting the script in another one if necessary."""
    missing = [name for name in required(requirements) if installed(name) is None]
    if not missing:
        return
    python = folder.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        print(f"installing {', '.join(missing)} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    elif not python.exists():
        venv.create(folder, with_pip=True)
    # The restarted script checks again.
    os.execv(python, [python, *sys.argv])
