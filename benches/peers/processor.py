"""The processor: its name, and the instructions that decide how fast each class of precision is."""

import os
import pathlib
import platform

# Flags of /proc/cpuinfo that matter here, by kind of processor.
FEATURES = {
    "x86": ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"],
    "arm": ["asimd", "asimddp", "i8mm", "bf16", "sve"],
}
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


def read():
    """Returns the fields of the first processor in /proc/cpuinfo; none if there is no such file."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


FIELDS = read()
FLAGS = set((FIELDS.get("flags") or FIELDS.get("Features") or "").split())
NAME = FIELDS.get("model name") or platform.processor() or platform.machine()


def features():
    """Returns the features that the processor has, and those of its kind that it lacks."""
    known = FEATURES["arm" if "asimd" in FLAGS else "x86"]
    return [name for name in known if name in FLAGS], [name for name in known if name not in FLAGS]


def has_bf16():
    return bool(BF16 & FLAGS)


def has_vnni():
    return bool({"avx_vnni", "avx512_vnni"} & FLAGS)


def description():
    """Returns one line with everything that a table of times must name."""
    has, lacks = features()
    family, model = FIELDS.get("cpu family"), FIELDS.get("model")
    number = f" (family {family}, model {model})" if family and model else ""
    text = f"{NAME}{number}, {os.cpu_count()} cores, has {', '.join(has) or 'none of the features below'}"
    return text + (f"; lacks {', '.join(lacks)}" if lacks else "")
