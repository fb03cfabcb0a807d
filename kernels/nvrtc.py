"""Compiles CUDA C++ to PTX with NVRTC; the text does not depend on where it is compiled."""

import ctypes
import re

import environment
from failure import Failure

# No --use_fast_math: divisions and square roots are correctly rounded and subnormals are preserved, as on the CPU.
OPTIONS = ["--gpu-architecture=compute_80", "--std=c++17", "--generate-line-info"]

# The newest version that every driver since CUDA 12.0 accepts. The kernels use nothing newer.
PTX_VERSION = "8.0"


def c_strings(texts):
    return (ctypes.c_char_p * len(texts))(*texts)


class Nvrtc:
    """The NVRTC library."""

    def __init__(self):
        # NVRTC finds its library of built-in functions in its own folder.
        self.library = ctypes.CDLL(environment.path("nvidia-cuda-nvrtc-cu12", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
        self.include = environment.path("nvidia-cuda-runtime-cu12", "nvidia/cuda_runtime/include")

    def call(self, function, *arguments):
        status = getattr(self.library, function)(*arguments)
        if status != 0:
            raise Failure(f"{function}: {self.library.nvrtcGetErrorString(status).decode()}")

    def text(self, program, what):
        """Returns the `ProgramLog` or `PTX` of a program."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self, source):
        """Returns the PTX of a .cu file, which may include the .cuh files in its folder."""
        program = ctypes.c_void_p()
        files = sorted(source.parent.glob("*.cuh"))
        names = c_strings([file.name.encode() for file in files])
        headers = c_strings([file.read_bytes() for file in files])
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.read_bytes(), source.name.encode(), len(files), headers, names)
        try:
            options = [*OPTIONS, f"--include-path={self.include}"]
            status = self.library.nvrtcCompileProgram(program, len(options), c_strings([option.encode() for option in options]))
            if status != 0:
                raise Failure(f"{source.name} does not compile:\n{self.text(program, 'ProgramLog').strip()}")
            return normalize(self.text(program, "PTX"))
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


def normalize(ptx):
    """Lowers the version and removes whatever is unused or depends on where the kernels were compiled."""
    ptx, count = re.subn(r"^\.version .*$", f".version {PTX_VERSION}", ptx, flags=re.MULTILINE)
    if count != 1:
        raise Failure(f"expected one .version line in the PTX, found {count}")
    ptx = re.sub(r'^(\t\.file\t\d+ )".*?([^/"]+)".*$', r'\1"\2"', ptx, flags=re.MULTILINE)
    # Source lines stay, so that faults can be located. The inlining history of each would take half of the text.
    ptx = re.sub(r"^(\t\.loc\t\d+ \d+ \d+), .*$", r"\1", ptx, flags=re.MULTILINE)
    ptx = re.sub(r"^\t\.section\t\.debug_str\n\t\{.*?\n\t\}\n", "", ptx, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(without_repeated_lines(without_unused_constants(ptx).splitlines())) + "\n"


def without_unused_constants(ptx):
    """Removes the variables that NVRTC emits for `constexpr` values and that no kernel reads."""
    for name in re.findall(r"^\.global .*?(\w+)(?:\[\d*\])?(?: = .*)?;$", ptx, flags=re.MULTILINE):
        if len(re.findall(rf"\b{name}\b", ptx)) == 1:
            ptx = re.sub(rf"^\.global .*\b{name}\b.*\n", "", ptx, flags=re.MULTILINE)
    return ptx


def without_repeated_lines(lines):
    """Removes `.loc` lines that repeat the last one or are followed by another, and repeated empty lines."""
    kept, location = [], None
    for line in (line.rstrip() for line in lines):
        if line.startswith("\t.loc"):
            if line == location:
                continue
            location = line
            if kept and kept[-1].startswith("\t.loc"):
                kept.pop()
        elif line.endswith(":"):
            # Execution may reach a label from elsewhere.
            location = None
        elif not line and kept and not kept[-1]:
            continue
        kept.append(line)
    return kept
