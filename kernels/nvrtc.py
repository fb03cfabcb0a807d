"""CUDA C++ to PTX with NVRTC, as text that does not depend on where it is compiled."""

import ctypes
import pathlib
import re

import environment
from failure import Failure

HERE = pathlib.Path(__file__).resolve().parent
HEADERS = sorted(HERE.glob("*.cuh"))

# No --use_fast_math: divisions and square roots are rounded correctly and denormals are kept, as on the CPU.
OPTIONS = ["--gpu-architecture=compute_80", "--std=c++17", "--generate-line-info"]

# What drivers from CUDA 12.0 on accept. Nothing in the kernels is newer than that.
PTX_VERSION = "8.0"


def c_strings(texts):
    return (ctypes.c_char_p * len(texts))(*texts)


class Nvrtc:
    """The library."""

    def __init__(self):
        # It finds the library of built-in functions beside itself.
        self.library = ctypes.CDLL(environment.path("nvidia-cuda-nvrtc-cu12", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
        self.include = environment.path("nvidia-cuda-runtime-cu12", "nvidia/cuda_runtime/include")

    def call(self, function, *arguments):
        status = getattr(self.library, function)(*arguments)
        if status != 0:
            raise Failure(f"{function}: {self.library.nvrtcGetErrorString(status).decode()}")

    def text(self, program, what):
        """The program's `ProgramLog` or `PTX`."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self, source, defines=()):
        """The PTX of a .cu file."""
        program = ctypes.c_void_p()
        names = c_strings([header.name.encode() for header in HEADERS])
        headers = c_strings([header.read_bytes() for header in HEADERS])
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.read_bytes(), source.name.encode(), len(HEADERS), headers, names)
        try:
            options = [*OPTIONS, f"--include-path={self.include}", *(f"--define-macro={name}" for name in defines)]
            status = self.library.nvrtcCompileProgram(program, len(options), c_strings([option.encode() for option in options]))
            if status != 0:
                raise Failure(f"{source.name} does not compile:\n{self.text(program, 'ProgramLog').strip()}")
            return normalise(self.text(program, "PTX"))
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


def normalise(ptx):
    """Lowers the version, and leaves out what depends on the place of compilation or is never used."""
    ptx, count = re.subn(r"^\.version .*$", f".version {PTX_VERSION}", ptx, flags=re.MULTILINE)
    if count != 1:
        raise Failure("the PTX has not one line with its version")
    ptx = re.sub(r'^(\t\.file\t\d+ )".*?([^/"]+)".*$', r'\1"\2"', ptx, flags=re.MULTILINE)
    # Lines of the source stay, for reports of where a kernel fails. By which calls each was inlined takes half of
    # the text.
    ptx = re.sub(r"^(\t\.loc\t\d+ \d+ \d+), .*$", r"\1", ptx, flags=re.MULTILINE)
    ptx = re.sub(r"^\t\.section\t\.debug_str\n\t\{.*?\n\t\}\n", "", ptx, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(without_repeated_lines(without_unused_constants(ptx).splitlines())) + "\n"


def without_unused_constants(ptx):
    """NVRTC makes a variable of each `constexpr` value, which no kernel reads."""
    for name in re.findall(r"^\.global .*?(\w+)(?:\[\d*\])?(?: = .*)?;$", ptx, flags=re.MULTILINE):
        if len(re.findall(rf"\b{name}\b", ptx)) == 1:
            ptx = re.sub(rf"^\.global .*\b{name}\b.*\n", "", ptx, flags=re.MULTILINE)
    return ptx


def without_repeated_lines(lines):
    """Leaves out `.loc` where it says what the last one said, or another follows, and runs of empty lines."""
    kept, location = [], None
    for line in (line.rstrip() for line in lines):
        if line.startswith("\t.loc"):
            if line == location:
                continue
            location = line
            if kept and kept[-1].startswith("\t.loc"):
                kept.pop()
        elif line.endswith(":"):
            # Code may come here from elsewhere.
            location = None
        elif not line and kept and not kept[-1]:
            continue
        kept.append(line)
    return kept
