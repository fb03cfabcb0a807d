"""Assembles PTX with ptxas and checks the machine code: no spills, resource budgets, expected instructions."""

import collections
import fnmatch
import json
import pathlib
import re
import subprocess
import tempfile

import environment
from failure import Failure

ARCHITECTURES = ["sm_80", "sm_86", "sm_89", "sm_90"]
BUDGETS = pathlib.Path(__file__).resolve().parent / "budgets.json"

Usage = collections.namedtuple("Usage", "registers shared spilled")


def output_of(command, error):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure(f"{error}:\n{(result.stderr or result.stdout).strip()}")
    return result.stdout + result.stderr


def usages(report):
    """Returns the usage of each kernel from the report of `ptxas --verbose`."""
    found = {}
    for part in report.split("Compiling entry function '")[1:]:
        kernel = part.split("'")[0]
        registers = re.search(r"Used (\d+) registers", part)
        spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        if registers is None or spills is None:
            raise Failure(f"ptxas does not report the resources of {kernel}")
        shared = re.search(r"(\d+) bytes smem", part)
        found[kernel] = Usage(int(registers[1]), int(shared[1]) if shared else 0, any(map(int, spills.groups())))
    return found


def instructions(disassembly):
    """Returns, for each kernel, the number of occurrences of each instruction with its modifiers."""
    counts, kernel = {}, None
    for line in disassembly.splitlines():
        if line.startswith(".text."):
            kernel = counts.setdefault(line[len(".text.") :].rstrip(":"), collections.Counter())
        elif kernel is not None:
            found = re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", line)
            if found:
                kernel[found[1]] += 1
    return counts


def budget_of(kernel, budgets):
    patterns = [pattern for pattern in budgets if fnmatch.fnmatchcase(kernel, pattern)]
    if len(patterns) != 1:
        raise Failure(f"{kernel} matches {len(patterns)} budgets in {BUDGETS.name} instead of one")
    return patterns[0]


def faults(usage, counts, budget):
    """Yields every violation of a kernel's budget."""
    if usage.spilled:
        yield "spills registers"
    for what in ("registers", "shared"):
        if getattr(usage, what) > budget[what]:
            yield f"uses {getattr(usage, what)} {what} (budget: {budget[what]})"
    for instruction, least in budget["instructions"].items():
        count = sum(n for name, n in counts.items() if fnmatch.fnmatchcase(name, instruction))
        if count < least:
            yield f"has {count} {instruction} (expected at least {least})"


def assemble(files):
    """Assembles PTX files for all architectures and prints each kernel's largest resource usage."""
    ptxas = environment.path("nvidia-cuda-nvcc-cu12", "nvidia/cuda_nvcc/bin/ptxas")
    nvdisasm = environment.path("nvidia-cuda-nvdisasm", "nvidia/cu13/bin/nvdisasm")
    budgets = json.loads(BUDGETS.read_text())
    most, found, used = {}, [], set()
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder, "kernels.cubin")
        for file in files:
            for architecture in ARCHITECTURES:
                report = output_of([ptxas, f"--gpu-name={architecture}", "--verbose", file, "--output-file", cubin], f"ptxas rejects {file.name} for {architecture}")
                counts = instructions(output_of([nvdisasm, "--print-code", cubin], f"nvdisasm rejects {file.name} for {architecture}"))
                for kernel, usage in usages(report).items():
                    pattern = budget_of(kernel, budgets)
                    used.add(pattern)
                    found += [f"{kernel} for {architecture} {fault}" for fault in faults(usage, counts[kernel], budgets[pattern])]
                    most[kernel] = Usage(*map(max, usage, most.get(kernel, usage)))
    for pattern in budgets.keys() - used:
        found.append(f"budget {pattern} matches no kernel")
    for kernel, usage in sorted(most.items()):
        print(f"{kernel:36} {usage.registers:3} registers {usage.shared:6} bytes shared")
    if found:
        raise Failure("\n".join(found))
