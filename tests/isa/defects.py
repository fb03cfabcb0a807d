#!/usr/bin/env python3
"""Seeds defects into the kernels of each instruction set, one at a time and in a copy of the sources. A test must detect
each of them on the emulated CPU.

    python3 tests/isa/defects.py                    all, about twenty minutes
    python3 tests/isa/defects.py --set neon i8mm
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import build
from failure import Failure

# Not the build folder itself, because Cargo would confuse the copy of a package with the package.
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", build.ROOT / "target")).absolute() / "isa-defects"
KERNELS = pathlib.Path("src/cpu/simd")


@dataclasses.dataclass(frozen=True)
class Defect:
    """Defect, and the suite that must detect it."""

    set: str
    what: str
    file: str
    right: str
    wrong: str
    processor: str
    suite: str = "products"


AVX2 = """is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")"""
AVX512 = """is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")"""

DEFECTS = (
    Defect(
        "portable",
        "a wrong constant in rounding",
        "portable.rs",
        "12_582_912.0",
        "12_582_913.0",
        "sandy-bridge",
        "kernels",
    ),
    Defect("portable", "a swapped operand", "portable.rs", "x[3] * w[3]", "x[2] * w[3]", "sandy-bridge"),
    Defect("portable", "a wrong bias", "portable.rs", "BIAS: i32 = 127", "BIAS: i32 = 126", "sandy-bridge", "kernels"),
    Defect("avx2", "a wrong immediate", "x86_64/avx2.rs", "0b11_01_10_00", "0b11_10_01_00", "haswell", "kernels"),
    Defect(
        "avx2",
        "a swapped operand",
        "x86_64/avx2.rs",
        "_mm256_maddubs_epi16(group, columns)",
        "_mm256_maddubs_epi16(columns, group)",
        "haswell",
    ),
    Defect("avx2", "a wrong gate", "x86_64/avx2.rs", AVX2, 'is_x86_feature_detected!("avx")', "sandy-bridge", "choice"),
    Defect(
        "avxvnni",
        "a swapped operand",
        "x86_64/avxvnni.rs",
        "dpbusd_avx_epi32(sum, group, columns)",
        "dpbusd_avx_epi32(sum, columns, group)",
        "arrow-lake",
    ),
    Defect("avxvnni", "a wrong number of rows", "x86_64/avxvnni.rs", "3 4 5 6", "3 5 4 6", "arrow-lake"),
    Defect("avxvnni", "a wrong gate", "x86_64/avxvnni.rs", '!("avxvnni")', '!("avx2")', "haswell", "choice"),
    Defect("avx512", "a wrong immediate", "x86_64/avx512.rs", "extractf64x4_pd::<1>", "extractf64x4_pd::<0>", "skylake-x", "kernels"),
    Defect(
        "avx512",
        "a swapped operand",
        "x86_64/avx512.rs",
        "_mm512_maddubs_epi16(group, columns)",
        "_mm512_maddubs_epi16(columns, group)",
        "skylake-x",
    ),
    Defect("avx512", "a wrong gate", "x86_64/avx512.rs", AVX512, 'is_x86_feature_detected!("fma")', "haswell", "choice"),
    Defect(
        "avx512vnni",
        "a swapped operand",
        "x86_64/avx512.rs",
        "_mm512_dpbusd_epi32(*sum, group, columns)",
        "_mm512_dpbusd_epi32(*sum, columns, group)",
        "ice-lake",
    ),
    Defect(
        "avx512vnni",
        "a wrong number of rows",
        "x86_64/avx512.rs",
        "products!(multiply_fours; 1 2 3",
        "products!(multiply_fours; 1 3 2",
        "ice-lake",
    ),
    Defect("avx512vnni", "a wrong gate", "x86_64/avx512.rs", '!("avx512vnni")', '!("avx512bw")', "skylake-x", "choice"),
    Defect(
        "avx512vnni",
        "a wrong distance in bf16",
        "x86_64/avx512bf16.rs",
        "step.add(GROUP * WIDTH)",
        "step.add(WIDTH)",
        "sapphire-rapids",
        "bf16",
    ),
    Defect("avx512vnni", "a wrong gate of bf16", "x86_64/avx512bf16.rs", '!("avx512bf16")', '!("avx512bitalg")', "ice-lake", "refusal"),
    Defect("neon", "a wrong immediate", "aarch64/neon.rs", "vshlq_n_s32::<23>", "vshlq_n_s32::<22>", "cortex-a53", "kernels"),
    Defect("neon", "a swapped operand", "aarch64/neon.rs", "vfmaq_f32(c, a, b)", "vfmaq_f32(a, c, b)", "cortex-a53", "kernels"),
    Defect(
        "neon",
        "a wrong half",
        "aarch64/neon.rs",
        "vmull_high_s8(group, columns)",
        "vmull_s8(vget_low_s8(group), vget_low_s8(columns))",
        "cortex-a53",
    ),
    Defect("dotprod", "a wrong sign", "aarch64/dotprod.rs", '"sdot ', '"udot ', "cortex-a76"),
    Defect("dotprod", "a wrong offset", "aarch64/dotprod.rs", "OFFSET: u8 = 128", "OFFSET: u8 = 0", "cortex-a76"),
    Defect("dotprod", "a wrong gate", "aarch64/dotprod.rs", '!("dotprod")', '!("neon")', "cortex-a53", "choice"),
    Defect(
        "i8mm",
        "a swapped operand",
        "aarch64/i8mm.rs",
        "{group:v}.16b, {columns:v}.16b",
        "{columns:v}.16b, {group:v}.16b",
        "max",
    ),
    Defect("i8mm", "a wrong half", "aarch64/i8mm.rs", "vget_high_s32(right)", "vget_low_s32(right)", "max"),
    Defect(
        "i8mm",
        "a swapped operand of bf16",
        "aarch64/bfmmla.rs",
        "{group:v}.8h, {columns:v}.8h",
        "{columns:v}.8h, {group:v}.8h",
        "max",
        "bf16",
    ),
    Defect("i8mm", "a wrong gate", "aarch64/i8mm.rs", '!("i8mm")', '!("dotprod")', "cortex-a76", "choice"),
)


def copy_sources(to: pathlib.Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=build.ROOT, check=True, capture_output=True, text=True).stdout.split("\n"):
        if name and (build.ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(build.ROOT / name, to / name)


def run(sources: pathlib.Path, processors: set[str], suites: set[str]) -> str:
    """Returns the runner's output for these suites."""
    command = [sys.executable, str(sources / "tests/isa/run.py")]
    command += ["--processor", *sorted(processors), "--suite", *sorted(suites)]
    environment = os.environ | {"CARGO_TARGET_DIR": str(FOLDER / "target")}
    outcome = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not re.search(r"^\d+ of \d+ suites passed", outcome.stdout, flags=re.MULTILINE):
        raise Failure(f"the tests did not run:\n{outcome.stdout}")
    return outcome.stdout


def is_detected(defect: Defect, sources: pathlib.Path) -> bool:
    file = sources / KERNELS / defect.file
    text = file.read_text()
    if text.count(defect.right) != 1:
        raise Failure(f"{defect.file} has `{defect.right}` {text.count(defect.right)} times")
    file.write_text(text.replace(defect.right, defect.wrong))
    try:
        output = run(sources, {defect.processor}, {defect.suite})
    finally:
        file.write_text(text)
    return re.search(rf"^{defect.processor} .* {defect.suite} .* FAILED ", output, flags=re.MULTILINE) is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = list(dict.fromkeys(defect.set for defect in DEFECTS))
    parser.add_argument("--set", nargs="+", choices=sets, default=sets, metavar="NAME")
    chosen = parser.parse_args().set
    defects = [defect for defect in DEFECTS if defect.set in chosen]
    sources = FOLDER / "sources"
    copy_sources(sources)
    output = run(sources, {defect.processor for defect in defects}, {defect.suite for defect in defects})
    if "FAILED" in output:
        raise Failure(f"without a defect:\n{output}")
    missed = 0
    for defect in defects:
        detected = is_detected(defect, sources)
        missed += not detected
        columns = f"{defect.set:10} {defect.what:28} {defect.processor:15} {defect.suite:10}"
        print(f"{columns} {'detected' if detected else 'NOT DETECTED'}", flush=True)
    print(f"{len(defects) - missed} of {len(defects)} defects detected")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"defects.py: {failure}")
