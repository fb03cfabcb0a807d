"""The emulators, and the tools to build for their CPUs, in a subfolder of the build folder."""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable

import debian

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
SHIM = HERE / "glibc.c"

# Paths in the folder of the Debian packages, relative to the folder of a script.
LIBRARIES = "root/usr/lib/x86_64-linux-gnu"
CROSS = "root/usr/aarch64-linux-gnu"
PROGRAMS = "root/usr/bin"
SCRIPTS = {
    "rustc": f'LD_LIBRARY_PATH=$here/{LIBRARIES} exec $here/{PROGRAMS}/rustc "$@"',
    "cc": f"LD_LIBRARY_PATH=$here/{LIBRARIES} exec $here/{PROGRAMS}/aarch64-linux-gnu-gcc-12 "
    f"-B$here/{CROSS}/lib -B$here/{PROGRAMS}/aarch64-linux-gnu- "
    f'-isystem $here/{CROSS}/include -L$here/{CROSS}/lib "$@"',
    "ar": f'LD_LIBRARY_PATH=$here/{LIBRARIES} exec $here/{PROGRAMS}/aarch64-linux-gnu-ar "$@"',
    "qemu": f'LD_LIBRARY_PATH=$here/{LIBRARIES} exec $here/{PROGRAMS}/qemu-aarch64 -E LD_LIBRARY_PATH= "$@"',
}


def cached(
    folder: pathlib.Path, pins: list[pathlib.Path], make: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Returns the folder, which is created if it doesn't exist or has different pins. It is renamed when it is complete,
    so that an interrupted installation is repeated."""
    content = b"".join(file.read_bytes() for file in [pathlib.Path(__file__), *pins])
    key = hashlib.sha256(content).hexdigest()
    stamp = folder / "pins"
    if stamp.exists() and stamp.read_text() == key:
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    for old in (folder, partial):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    make(partial)
    (partial / "pins").write_text(key)
    return partial.rename(folder)


def bochs(folder: pathlib.Path) -> pathlib.Path:
    """Returns a folder with the package of Bochs' CPU and `glibc.so`."""

    def make(to: pathlib.Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
        options = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", REQUIREMENTS]
        subprocess.run([*pip, *options, "--target", to], check=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", to / "glibc.so", SHIM], check=True)

    # The wheel depends on the Python version.
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cached(folder / f"bochs-{python}", [REQUIREMENTS, SHIM], make)


def aarch64(folder: pathlib.Path) -> pathlib.Path:
    """Returns a folder with the programs `rustc`, `cc`, `ar` and `qemu`, for aarch64 from x86-64."""

    def make(to: pathlib.Path) -> None:
        with tempfile.TemporaryDirectory() as downloads:
            debian.unpack(to / "root", pathlib.Path(downloads))
        for name, command in SCRIPTS.items():
            script = to / name
            script.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{command}\n')
            script.chmod(0o755)

    return cached(folder / "debian", [debian.LIST], make)
