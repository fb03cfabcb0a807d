"""Builds the tests for the emulated CPUs, as statically linked programs."""

import dataclasses
import json
import os
import pathlib
import subprocess

from failure import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Stands for the library's unit tests instead of a target in `tests`.
LIBRARY = "distilbert"
STATIC = "-C target-feature=+crt-static"


@dataclasses.dataclass(frozen=True)
class Build:
    """Build configuration of an architecture."""

    target: str
    features: tuple[str, ...]
    environment: dict[str, str]


def x86_64() -> Build:
    """Builds with the default features, because one CPU classifies a text."""
    return Build("x86_64-unknown-linux-gnu", (), {"RUSTFLAGS": STATIC})


def aarch64(tools: pathlib.Path) -> Build:
    environment = {
        "RUSTC": str(tools / "rustc"),
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": str(tools / "cc"),
        # Needed by a dependency of Criterion.
        "CC_aarch64_unknown_linux_gnu": str(tools / "cc"),
        "AR_aarch64_unknown_linux_gnu": str(tools / "ar"),
        # The aarch64 code is compiled only here, so warnings are errors.
        "RUSTFLAGS": f"{STATIC} -D warnings",
    }
    return Build("aarch64-unknown-linux-gnu", ("--no-default-features", "--features=explain"), environment)


def executables(build: Build, targets: set[str], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Builds into a folder and returns the programs by target name."""
    named = ["--lib" if target == LIBRARY else f"--test={target}" for target in sorted(targets)]
    command = ["cargo", "test", "--release", "--locked", "--no-run", "--target", build.target, "-p", LIBRARY]
    command += [*build.features, *named, "--message-format=json-render-diagnostics"]
    # The tests spend little time in other crates, and none in those that stand in for devices and servers. Setting the
    # level of `"*"` would also optimize procedural macros.
    command += ["--config", "profile.release.opt-level=1"]
    levels = {LIBRARY: 3, "test-support": 3, "cuda-stand-in": 0, "hub-stand-in": 0, "ptx-machine": 0}
    for package, level in levels.items():
        command += ["--config", f"profile.release.package.{package}.opt-level={level}"]
    environment = os.environ | build.environment | {"CARGO_TARGET_DIR": str(folder)}
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if outcome.returncode:
        raise Failure(f"failed to build the tests for {build.target}:\n{outcome.stderr}")
    messages = [json.loads(line) for line in outcome.stdout.splitlines()]
    return {
        message["target"]["name"]: pathlib.Path(message["executable"])
        for message in messages
        if message["reason"] == "compiler-artifact" and message["executable"] and message["profile"]["test"]
    }
