#!/usr/bin/env python3
"""Seeds defects into scratch copies of the sources, so that tests can prove that they notice them.

    python3 dev/defects/seed.py kernels          compiles every kernel defect to target/defects/NAME/*.ptx
    python3 dev/defects/seed.py crate NAME       copies the repository with a defect of the CUDA backend to
                                                 target/seeded/NAME and prints that folder

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
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.command == "kernels":
        environment.enter(arguments.venv)
        nvrtc = Nvrtc()
        for defect in KERNEL_DEFECTS:
            compile_kernel_defect(nvrtc, defect, ROOT / "target/defects" / defect.name)
            print(f"{defect.name}: {defect.mistake}")
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
