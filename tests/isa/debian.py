"""Debian packages, unpacked into a folder without being installed: a Rust compiler with the standard library of aarch64,
a linker for it, and QEMU.

`debian.sha256` lists them by name, version and content. They come from the machine's own package sources, which must be
those of Debian 12 on x86-64.
"""

import dataclasses
import hashlib
import pathlib
import subprocess

from failure import Failure

LIST = pathlib.Path(__file__).resolve().parent / "debian.sha256"


@dataclasses.dataclass(frozen=True)
class Package:
    """Line of the list. The name is followed by a colon and the architecture."""

    name: str
    version: str
    sha256: str

    def line(self) -> str:
        return f"{self.name} {self.version} {self.sha256}\n"

    @classmethod
    def of_file(cls, file: pathlib.Path) -> "Package":
        fields = ("Package", "Architecture", "Version")
        query = subprocess.check_output(["dpkg-deb", "--field", file, *fields], text=True)
        values = dict(line.split(": ", 1) for line in query.splitlines())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return cls(f"{values['Package']}:{values['Architecture']}", values["Version"], digest)


def listed() -> list[Package]:
    return [Package(*line.split()) for line in LIST.read_text().splitlines()]


def download(names: list[str], folder: pathlib.Path) -> list[pathlib.Path]:
    """Downloads packages, with package lists in the folder, since they include aarch64."""
    for part in ("lists/partial", "cache/archives/partial", "files"):
        (folder / part).mkdir(parents=True)
    options = {
        "APT::Sandbox::User": "root",
        "APT::Architectures": "amd64,arm64",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
    }
    command = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
    for action in (["update"], ["download", *names]):
        outcome = subprocess.run([*command, *action], cwd=folder / "files", capture_output=True, text=True)
        if outcome.returncode:
            raise Failure(
                f"apt-get {action[0]} failed:\n{outcome.stderr}"
                "If Debian has replaced a version, `run.py --update-pins` writes the current ones to "
                f"{LIST.name}. If a name contains a version, such as libllvm22, change the name first."
            )
    return sorted((folder / "files").glob("*.deb"))


def unpack(to: pathlib.Path, downloads: pathlib.Path) -> None:
    """Unpacks exactly the listed packages into a folder."""
    expected = set(listed())
    files = download([f"{package.name}={package.version}" for package in listed()], downloads)
    found = {Package.of_file(file) for file in files}
    if found != expected:
        differences = "".join(package.line() for package in sorted(found ^ expected, key=Package.line))
        raise Failure(f"the packages differ from {LIST.name}:\n{differences}")
    for file in files:
        subprocess.run(["dpkg-deb", "--extract", file, to], check=True)


def update_list(downloads: pathlib.Path) -> None:
    """Rewrites the list with the current versions."""
    files = download([package.name for package in listed()], downloads)
    LIST.write_text("".join(Package.of_file(file).line() for file in files))
