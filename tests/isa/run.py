#!/usr/bin/env python3
"""Runs tests on emulated CPUs, which cover instruction sets that this machine doesn't support and the choice among them.

    python3 tests/isa/run.py                        all suites on all CPUs
    python3 tests/isa/run.py --processor haswell cortex-a53 --suite products
    python3 tests/isa/run.py --skip-native          leaves out exhaustive suites that `cargo test` runs on this machine
    python3 tests/isa/run.py --update-pins          rewrites debian.sha256

x86-64 runs on Bochs, aarch64 on QEMU. Both are installed into the build folder, as is a compiler for aarch64. Requires
Linux on x86-64, Debian 12 for aarch64, and Rust.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import build
import debian
import emulators
import kernels
from failure import Failure

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", build.ROOT / "target")).absolute() / "isa"
AT_A_TIME = 2
SECONDS = 600


@dataclasses.dataclass(frozen=True)
class Processor:
    """CPU, the instruction set that should be chosen on it, and the number of tested single instructions it supports."""

    name: str
    architecture: str
    # Number of the CPU model in Bochs, or its name in QEMU.
    model: str
    set: str
    kinds: int
    # True if an earlier CPU has the same set, so that only tests of the CPU itself are worth running.
    repeats: bool = False
    # True if the CPU multiplies bf16.
    bf16: bool = False


PROCESSORS = (
    Processor("sandy-bridge", "x86_64", "19", "portable", 18),
    Processor("haswell", "x86_64", "24", "avx2", 33),
    Processor("skylake-x", "x86_64", "26", "avx512", 56),
    Processor("ice-lake", "x86_64", "28", "avx512vnni", 57),
    # Bochs doesn't support AMX.
    Processor("sapphire-rapids", "x86_64", "30", "avx512vnni", 59, repeats=True, bf16=True),
    Processor("arrow-lake", "x86_64", "31", "avxvnni", 34),
    Processor("cortex-a53", "aarch64", "cortex-a53", "neon", 31),
    Processor("cortex-a76", "aarch64", "cortex-a76", "dotprod", 32),
    Processor("max", "aarch64", "max", "i8mm", 35, bf16=True),
)


@dataclasses.dataclass(frozen=True)
class Suite:
    """Tests of one target, by their full names."""

    name: str
    target: str
    tests: tuple[str, ...]
    # CPUs to run on, if all would take too long.
    processors: tuple[str, ...] | None = None
    # True if the tests cover kernels over many sizes, which depends on the instruction set and not on the CPU.
    exhaustive: bool = False


SUITES = (
    Suite("choice", "isa", ("choice::chooses_the_expected_instruction_set",)),
    Suite(
        "instructions",
        "isa",
        ("battery::fused_multiply_add_rounds_once", "battery::single_instructions_match_plain_rust"),
    ),
    Suite(
        "products",
        build.LIBRARY,
        (
            "cpu::ops::linear::tests::a_range_of_outputs_leaves_the_others_alone",
            "cpu::ops::linear::tests::a_row_has_the_same_bits_alone_in_any_batch_and_on_any_threads",
            "cpu::ops::linear::tests::grouped_products_match_float64",
            "cpu::ops::linear::tests::products_of_every_size_match_float64",
            "cpu::gemm::block::tests::integer_products_of_every_size_are_exact",
            "cpu::gemm::block::tests::products_of_every_size_match_float64",
            "cpu::gemm::block::tests::tiles_of_any_number_of_rows_match_float64",
            "cpu::gemm::block::tests::weights_that_are_widened_once_give_the_same_bits",
        ),
        exhaustive=True,
    ),
    Suite(
        "kernels",
        build.LIBRARY,
        (
            "cpu::ops::attention::absorbed::tests::averages_of_every_size_match_float64",
            "cpu::ops::attention::absorbed::tests::bits_do_not_depend_on_other_sequences",
            "cpu::ops::attention::int8::tests::constant_and_extreme_inputs_match_a_naive_loop",
            "cpu::ops::attention::int8::tests::float_attention_serves_first_tokens_and_other_lengths",
            "cpu::ops::attention::int8::tests::ragged_batches_of_every_head_size_match_a_naive_loop",
            "cpu::ops::attention::int8::tests::results_are_close_to_float64",
            "cpu::ops::attention::tests::ragged_batches_of_every_head_size_match_float64",
            "cpu::backward::spread::tests::rows_of_every_width_match_float64",
            "cpu::backward::tests::activation::activations_match_central_differences",
            "cpu::backward::tests::attention::attention_matches_central_differences",
            "cpu::backward::tests::first_tokens::attention_of_first_tokens_matches_central_differences",
            "cpu::backward::tests::layer_norm::layer_norm_matches_central_differences",
            "cpu::simd::tests::squares_are_transposed_whatever_the_distance_of_rows",
            "cpu::ops::layer_norm::tests::rows_of_every_width_match_float64",
            "cpu::ops::math::tests::erf_is_within_4e_7",
            "cpu::ops::math::tests::exp_is_within_two_units_in_the_last_place",
            "cpu::ops::quantize::tests::every_value_is_within_half_a_step_and_the_same_on_every_set",
            "cpu::ops::quantize::tests::the_most_inputs_cannot_overflow",
            "cpu::ops::softmax::tests::rows_of_every_length_match_float64",
        ),
        exhaustive=True,
    ),
    Suite(
        "parity",
        "library",
        (
            "parity::f16_checkpoint_is_bit_identical_in_f16_and_f32",
            "parity::generated_configurations_match_float64",
        ),
        exhaustive=True,
    ),
    # Instructions for bf16 are not part of a set, so these also run on CPUs that repeat one.
    Suite(
        "bf16",
        build.LIBRARY,
        (
            "cpu::gemm::block::tests::products_of_bf16_match_float64",
            "cpu::load::tests::bf16_is_refused_without_its_instructions",
            "cpu::load::tests::bf16_logits_match_the_goldens_of_their_arithmetic",
            "cpu::load::tests::bf16_rows_have_the_same_bits_in_any_batch_and_on_any_threads",
            "cpu::ops::attention::bfloat::tests::a_sequence_has_the_same_bits_alone_and_in_a_batch",
            "cpu::ops::attention::bfloat::tests::ragged_batches_of_every_head_size_match_float64",
            "cpu::ops::linear::tests::a_range_of_outputs_leaves_the_others_alone",
            "cpu::ops::linear::tests::a_row_has_the_same_bits_alone_in_any_batch_and_on_any_threads",
            "cpu::simd::bfloat::tests::rows_are_rounded_in_the_same_way_on_every_set",
        ),
        ("sapphire-rapids", "max"),
    ),
    Suite(
        "refusal",
        build.LIBRARY,
        ("cpu::load::tests::bf16_is_refused_without_its_instructions",),
        ("ice-lake", "cortex-a76"),
    ),
    Suite("goldens", "isa", ("goldens::small_models_match_avx2_bit_for_bit",)),
    Suite(
        "invariance",
        "library",
        ("invariance::odd_sizes_are_bit_identical_in_any_batch_and_on_any_threads",),
        exhaustive=True,
    ),
    # Loading the bundled model takes half a minute in Bochs.
    Suite("text", "isa", ("text::bundled_model_classifies_a_text",), ("sandy-bridge",)),
    Suite(
        "halves",
        "isa",
        ("goldens::short_texts_match_float64_in_f16",),
        ("cortex-a53", "cortex-a76", "max"),
    ),
)


# Features in /proc/cpuinfo that each instruction set needs.
FEATURES = {
    "portable": set(),
    "avx2": {"avx2", "fma", "f16c"},
    "avxvnni": {"avx2", "fma", "f16c", "avx_vnni"},
    "avx512": {"avx512f", "avx512bw"},
    "avx512vnni": {"avx512f", "avx512bw", "avx512_vnni"},
}


def native_sets() -> set[str]:
    """Returns the instruction sets that this machine supports."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    line = re.search(r"^flags\s*:(.*)$", text, flags=re.MULTILINE)
    found = set(line[1].split()) if line else set()
    return {name for name, features in FEATURES.items() if features <= found}


@dataclasses.dataclass(frozen=True)
class Job:
    """Run of a suite on a CPU."""

    processor: Processor
    suite: Suite
    command: list[str]
    environment: dict[str, str]

    def run(self) -> tuple[bool, str]:
        """Runs the suite and returns whether it passed, and its output."""
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            command, environment = self.with_variables(TMPDIR=folder)
            try:
                outcome = subprocess.run(
                    command,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=SECONDS,
                )
                status, output = outcome.returncode, outcome.stdout
            except subprocess.TimeoutExpired as error:
                status, output = f"killed after {SECONDS} s", error.stdout or b""
        text = output.decode(errors="replace")
        passed = sorted(re.findall(r"^test (\S+) \.\.\. ok$", text, flags=re.MULTILINE))
        good = status == 0 and passed == sorted(self.suite.tests)
        what = f"{len(passed)} of {len(self.suite.tests)} passed"
        columns = f"{self.processor.name:15} {self.processor.set:10} {self.suite.name:12} {what:15}"
        line = f"{columns} {time.monotonic() - start:6.1f} s"
        return good, line if good else f"{line}  FAILED ({status})\n{text}"

    def with_variables(self, **more: str) -> tuple[list[str], dict[str, str]]:
        """Returns the command and its environment, which Bochs takes as arguments."""
        variables = {
            "EXPECT_ISA": self.processor.set,
            "EXPECT_KINDS": str(self.processor.kinds),
            "EXPECT_BF16": str(self.processor.bf16).lower(),
            "RUST_TEST_THREADS": "1",
            "RUST_BACKTRACE": "1",
            **more,
        }
        if self.processor.architecture == "aarch64":
            return self.command, self.environment | variables
        given = [f"--environment={name}={value}" for name, value in variables.items()]
        return [*self.command[:2], *given, *self.command[2:]], self.environment


class Emulation:
    """Emulators and programs of each architecture, installed and built at most once."""

    def __init__(self, architectures: set[str], targets: set[str]) -> None:
        self.programs: dict[str, dict[str, pathlib.Path]] = {}
        if "x86_64" in architectures:
            self.bochs = emulators.bochs(FOLDER)
            self.build("x86_64", build.x86_64(), targets)
        if "aarch64" in architectures:
            self.debian = emulators.aarch64(FOLDER)
            self.build("aarch64", build.aarch64(self.debian), targets)

    def build(self, architecture: str, how: build.Build, targets: set[str]) -> None:
        start = time.monotonic()
        self.programs[architecture] = build.executables(how, targets, FOLDER / architecture)
        print(f"built for {architecture} in {time.monotonic() - start:.0f} s", flush=True)

    def job(self, processor: Processor, suite: Suite) -> Job:
        program = [str(self.programs[processor.architecture][suite.target]), "--exact", *suite.tests]
        if processor.architecture == "aarch64":
            command = [str(self.debian / "qemu"), "-cpu", processor.model, *program]
            return Job(processor, suite, command, {"PATH": os.defpath})
        shim, model = f"--shim={self.bochs / 'glibc.so'}", f"--model={processor.model}"
        command = [sys.executable, str(HERE / "bochs.py"), shim, model, *program]
        return Job(processor, suite, command, {"PATH": os.defpath, "PYTHONPATH": str(self.bochs)})


def wanted(arguments: argparse.Namespace) -> Iterator[tuple[Processor, Suite]]:
    native = native_sets() if arguments.skip_native else set()
    if native:
        print(f"exhaustive suites are left out for {', '.join(sorted(native))}, which this machine supports", flush=True)
    for processor in PROCESSORS:
        for suite in SUITES:
            named = processor.name in arguments.processor and suite.name in arguments.suite
            redundant = suite.exhaustive and (processor.repeats or processor.set in native)
            if named and not redundant and (suite.processors is None or processor.name in suite.processors):
                yield processor, suite


def parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    processors = [processor.name for processor in PROCESSORS]
    suites = [suite.name for suite in SUITES]
    parser.add_argument("--processor", nargs="+", choices=processors, default=processors, metavar="NAME")
    parser.add_argument("--suite", nargs="+", choices=suites, default=suites, metavar="NAME")
    skip = "leave out exhaustive suites for instruction sets that this machine supports"
    parser.add_argument("--skip-native", action="store_true", help=skip)
    update = "write the current Debian versions to debian.sha256 without running tests"
    parser.add_argument("--update-pins", action="store_true", help=update)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    start = time.monotonic()
    if arguments.update_pins:
        with tempfile.TemporaryDirectory() as downloads:
            debian.update_list(pathlib.Path(downloads))
        return 0
    tests = kernels.tests()
    if not tests:
        raise Failure("found no tests of kernels in the sources")
    unnamed = tests - {test for suite in SUITES for test in suite.tests}
    if unnamed:
        raise Failure(f"no suite runs {', '.join(sorted(unnamed))}")
    pairs = list(wanted(arguments))
    if not pairs:
        raise Failure("no selected suite runs on a selected CPU")
    architectures = {processor.architecture for processor, _ in pairs}
    emulation = Emulation(architectures, {suite.target for _, suite in pairs})
    jobs = [emulation.job(processor, suite) for processor, suite in pairs]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        for outcome in concurrent.futures.as_completed([pool.submit(job.run) for job in jobs]):
            good, text = outcome.result()
            print(text, flush=True)
            failures += not good
    print(f"{len(jobs) - failures} of {len(jobs)} suites passed in {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"run.py: {failure}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"run.py: {error}")
