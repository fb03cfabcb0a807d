"""Reads `cargo metadata` and fails if a dependency needs a newer Rust than the package states."""

import json
import sys

OWN = "distilbert"


def version(text):
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


packages = json.load(sys.stdin)["packages"]
stated = next(package["rust_version"] for package in packages if package["name"] == OWN)
newer = [
    f"{package['name']} needs Rust {package['rust_version']}"
    for package in packages
    if package["rust_version"] and version(package["rust_version"]) > version(stated)
]
print(f"minimum Rust version: {stated}, {len(packages)} packages agree" if not newer else "")
sys.exit("; ".join(newer) or 0)
