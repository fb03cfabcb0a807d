#!/usr/bin/env python3
"""Seeds defects into scratch copies of the sources, so that tests can prove that they notice them.

    python3 dev/defects/seed.py kernels          compiles every kernel defect to target/defects/NAME/*.ptx
    python3 dev/defects/seed.py crate NAME       copies the repository with a defect of the CUDA backend to
                                                 target/seeded/NAME and prints that folder
    python3 dev/defects/seed.py parsers [NAME…]  fuzzes the repository with each defect of a parser or of a call, which
                                                 the target must find within a minute

Each defect is an exact text replacement. The script fails if the text to replace does not occur exactly once, so
that a defect can never silently stop applying. The sources themselves are never changed.
"""

import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KERNELS = ROOT / "kernels"
sys.path.insert(0, str(KERNELS))

import environment  # noqa: E402
from failure import Failure  # noqa: E402
from nvrtc import Nvrtc  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Defect:
    """An exact replacement in one file."""

    name: str
    mistake: str
    file: str
    right: str
    wrong: str

    def apply(self, folder):
        """Applies the defect to a copy of the sources in `folder`."""
        path = folder / self.file
        text = path.read_text()
        count = text.count(self.right)
        if count != 1:
            raise Failure(f"{self.name}: expected the text to replace once in {self.file}, found it {count} times")
        # A new file: the copy may share its contents with the original.
        path.unlink()
        path.write_text(text.replace(self.right, self.wrong))


# In kernels/. tests/kernels/defects.rs must catch each of them.
KERNEL_DEFECTS = [
    Defect(
        "layer_norm_missing_barrier",
        "a reduction overwrites shared memory that other warps may still read",
        "row.cuh",
        "  __syncthreads();  // The next reduction overwrites `warps`.\n",
        "",
    ),
    Defect(
        "linear_missing_barrier",
        "tiles are read before all copies have arrived, and refilled while they are read",
        "linear.cu",
        "    __syncthreads();\n",
        "",
    ),
    Defect(
        "linear_wait",
        "waits for one copy group too few",
        "linear.cu",
        "cp_async_wait<S::STAGES - 2>();",
        "cp_async_wait<S::STAGES - 1>();",
    ),
    Defect("linear_no_row_guard", "writes rows past the last one", "linear.cu", "    if (row >= rows) return;\n", ""),
    Defect(
        "linear_fragment_order",
        "swaps the halves of a fragment",
        "linear.cu",
        "mma(sums[i][j], a[i], first, second);",
        "mma(sums[i][j], a[i], second, first);",
    ),
    Defect(
        "linear_scale_index",
        "uses the scale of another row",
        "linear.cu",
        "    const float2 scale = row_scales[row];\n",
        "    const float2 scale = row_scales[row - row % 16];\n",
    ),
    Defect(
        "attention_missing_barrier",
        "tiles are read before all copies have arrived, and refilled while they are read",
        "attention.cu",
        "    __syncthreads();\n",
        "",
    ),
    Defect(
        "attention_wait",
        "waits for one copy group too few",
        "attention.cu",
        "cp_async_wait<0>();",
        "cp_async_wait<1>();",
    ),
    Defect(
        "attention_no_row_guard",
        "writes rows past the last one",
        "attention.cu",
        "    if (row >= operands.queries) continue;\n",
        "",
    ),
    Defect(
        "attention_no_key_guard",
        "includes keys past the end of the sequence",
        "attention.cu",
        "      if (j * 8 + column + i % 2 >= keys) scores[j][i] = NONE;\n",
        "",
    ),
    Defect(
        "attention_fragment_order",
        "swaps the halves of a fragment",
        "attention.cu",
        "mma(scores[2 * j], state.queries[i], b[0], b[1]);",
        "mma(scores[2 * j], state.queries[i], b[1], b[0]);",
    ),
]

# In the repository. A test of the CUDA backend must fail with each of them.
CRATE_DEFECTS = [
    Defect(
        "stale_graph",
        "replays a captured graph for another number of sequences",
        "src/cuda/graph.rs",
        "        self.clock += 1;\n",
        "        self.clock += 1;\n        let shape = Shape { sequences: 0, ..shape };\n",
    ),
]


# Those that fuzz targets must find.
PARSER_DEFECTS = {
    "config": Defect(
        "config_labels",
        "allocates as many labels as a configuration states",
        "src/model/config/labels.rs",
        "        count if count <= MOST_UNNAMED => Ok(generic_labels(count)),\n",
        "        count if count <= MOST_UNNAMED << 8 => Ok(generic_labels(count)),\n",
    ),
    "safetensors": Defect(
        "safetensors_header",
        "allocates as many bytes as a header's length states",
        "src/model/checkpoint/safetensors.rs",
        "after_prefix.checked_sub(header_len).filter(|_| header_len <= limit)",
        "Some(after_prefix.wrapping_sub(header_len)).filter(|_| header_len <= limit << 20)",
    ),
    "tokenizer": Defect(
        "tokenizer_template",
        "expects each token of a template among the special ones",
        "src/input/tokenizer/template.rs",
        ".ok_or_else(|| format!(\"the template's special token {name} is not in `special_tokens`\"))?;",
        ".unwrap();",
    ),
    "hdf5": Defect(
        "hdf5_offset",
        "adds to an offset of the structure without a check",
        "src/model/checkpoint/hdf5.rs",
        "offset.checked_add(len).ok_or(FormatError::OffsetOverflow { offset, length: len })?;",
        "offset + len;",
    ),
    "pickle": Defect(
        "pickle_memo",
        "grows the memo to any index",
        "src/model/checkpoint/pickle/machine.rs",
        "match usize::try_from(index).ok().filter(|&index| index < MAX_INSTRUCTIONS) {",
        "match usize::try_from(index).ok() {",
    ),
    "server": Defect(
        "server_strings",
        "splits binary data without a check",
        "crates/server/src/endpoints/open_inference/binary.rs",
        "rest.split_at_checked(length).ok_or_else(cut_off)?;",
        "Some(rest.split_at(length)).ok_or_else(cut_off)?;",
    ),
    "delimited": Defect(
        "delimited_fields",
        "doesn't make room for more fields",
        "crates/cli/src/table/delimited.rs",
        "                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),\n",
        "                ReadRecordResult::OutputEndsFull => {}\n",
    ),
    "json_lines": Defect(
        "json_lines_key",
        "takes the value of a longer key",
        "crates/cli/src/table/object.rs",
        "Ok(key == self.0)",
        "Ok(key.starts_with(self.0))",
    ),
    "parquet": Defect(
        "parquet_lists",
        "reads one item too many of a list",
        "crates/cli/src/table/parquet/cells.rs",
        "offsets[row].as_usize()..offsets[row + 1].as_usize();",
        "offsets[row].as_usize()..offsets[row + 1].as_usize() + 1;",
    ),
    "tokens": Defect(
        "tokens_vocabulary",
        "accepts the id after the last",
        "src/input/batch.rs",
        "id as usize >= vocab_size)",
        "id as usize > vocab_size)",
    ),
    "truncation": Defect(
        "truncation_left",
        "keeps the tokens before the last ones",
        "src/input/truncation.rs",
        "TruncationSide::Left => (len - most..len, len - most),",
        "TruncationSide::Left => (len - most - 1..len - 1, len - most),",
    ),
}


# Part of each finding's report, so that no other is taken for it.
FINDINGS = {
    "config": "exceeds the input's budget",
    "safetensors": "exceeds the input's budget",
    "tokenizer": "template.rs",
    "hdf5": "hdf5.rs",
    "pickle": "exceeds the input's budget",
    "server": "binary.rs",
    "delimited": "timeout",
    "json_lines": "table.rs",
    "parquet": "cells.rs",
    "tokens": "panicked at",
    "truncation": "truncation.rs",
}


def includes(source, header):
    """Returns whether a .cu file includes a header."""
    return re.search(rf'^#include "{re.escape(header)}"', source.read_text(), flags=re.MULTILINE) is not None


def compile_kernel_defect(nvrtc, defect, folder):
    """Compiles the sources that a defect changes, from a copy in `folder`, to PTX beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in [*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")]:
        shutil.copyfile(file, folder / file.name)
    defect.apply(folder)
    sources = [file for file in sorted(folder.glob("*.cu")) if file.name == defect.file or includes(file, defect.file)]
    changed = False
    for source in sources:
        ptx = nvrtc.compile(source)
        name = f"{source.stem}.ptx"
        changed |= ptx != (KERNELS / "ptx" / name).read_text()
        (folder / name).write_text(ptx)
    if not changed:
        raise Failure(f"{defect.name} does not change any PTX")


def fuzz_parser_defects(targets):
    """Fuzzes a copy of the repository with the defects of some targets; returns `True` if each finds its own."""
    folder = ROOT / "target/seeded/parsers"
    copy_repository(folder)
    # One build with all of them, since no target reaches another's defect.
    for target in targets:
        PARSER_DEFECTS[target].apply(folder)
    # No inputs that earlier defects left.
    shutil.rmtree(folder / "target", ignore_errors=True)
    # With the build of the repository itself, whose dependencies are the same.
    run = [sys.executable, folder / "dev/fuzz/run.py", "--build-folder", ROOT / "target/fuzz/none"]
    subprocess.run([*run, *targets, "--build"], check=True)
    found = True
    for target in targets:
        defect = PARSER_DEFECTS[target]
        result = subprocess.run([*run, target, "--seconds", "60"], capture_output=True, text=True)
        is_found = result.returncode != 0 and FINDINGS[target] in result.stdout
        found &= is_found
        summary = (result.stdout.splitlines() or [result.stderr])[0]
        print(f"{defect.name}: {defect.mistake}: {'found' if is_found else 'NOT FOUND'} ({summary})", flush=True)
    return found


def copy_repository(folder):
    """Updates a copy of the tracked and new files of the repository; unchanged files keep their times."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    names = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    for file in folder.rglob("*"):
        if file.is_file() and file.relative_to(folder).as_posix() not in names:
            file.unlink()
    for name in sorted(names):
        source, copy = ROOT / name, folder / name
        if copy.exists() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        shutil.copymode(source, copy)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=pathlib.Path, default=environment.DEFAULT_FOLDER, help="virtual environment to use or create")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("kernels", help="compile every kernel defect")
    crate = commands.add_parser("crate", help="copy the repository with a defect of the CUDA backend")
    crate.add_argument("name", choices=[defect.name for defect in CRATE_DEFECTS])
    parsers = commands.add_parser("parsers", help="fuzz the repository with each defect of a parser or a call")
    parsers.add_argument("names", nargs="*", metavar="NAME", help=", ".join(defect.name for defect in PARSER_DEFECTS.values()))
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.command == "kernels":
        environment.enter(arguments.venv)
        nvrtc = Nvrtc()
        for defect in KERNEL_DEFECTS:
            compile_kernel_defect(nvrtc, defect, ROOT / "target/defects" / defect.name)
            print(f"{defect.name}: {defect.mistake}")
    elif arguments.command == "parsers":
        chosen = [target for target, defect in PARSER_DEFECTS.items() if defect.name in arguments.names]
        if not fuzz_parser_defects(chosen or list(PARSER_DEFECTS)):
            raise Failure("a defect was not found")
    else:
        folder = ROOT / "target/seeded" / arguments.name
        copy_repository(folder)
        next(defect for defect in CRATE_DEFECTS if defect.name == arguments.name).apply(folder)
        print(folder)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"seed.py: {failure}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"seed.py: {error}")
