#!/usr/bin/env python3
"""Runs a static x86-64 Linux program on a CPU model of the emulator Bochs.

    python3 bochs.py --model 26 [--shim LIBRARY] [--environment NAME=VALUE]... PROGRAM [ARGUMENT]...

The package `bochscpu-python` contains only the CPU of Bochs, without a machine or a kernel. This script implements the
system calls that a test binary makes. Threads run in turn and switch only at system calls.
"""

import argparse
import ctypes
import dataclasses
import errno
import mmap
import os
import pathlib
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator

PAGE = 4096
LARGE_PAGE = 2 << 20
MEMORY = 640 << 20
STACK = 16 << 20
WORD = (1 << 64) - 1

# Addresses of the page tables, and of the instruction that returns from system calls.
PAGE_TABLES = 0x1000
RETURN = 0x800
SYSRETQ = b"\x48\x0f\x07"
# Load address of a position-independent program.
BASE = 0x400000

FAILED = 99
TIMED_OUT = -errno.ETIMEDOUT


def rounded(size: int) -> int:
    return (size + PAGE - 1) & -PAGE


class Memory:
    """Memory of the program, in which an address is an offset. Free pages are always zero."""

    FREE, ANONYMOUS, FILE = 0, 1, 2

    def __init__(self) -> None:
        self.bytes = mmap.mmap(-1, MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        self.kinds = bytearray(MEMORY // PAGE)
        # Page tables and code at the start, the first thread's stack at the end.
        self.take(0, BASE, self.ANONYMOUS)
        self.take(MEMORY - STACK, STACK, self.ANONYMOUS)
        self.break_ = BASE

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data

    def read(self, address: int, size: int) -> bytes:
        return self.bytes[address : address + size]

    def write_words(self, address: int, *words: int) -> None:
        self.write(address, struct.pack(f"<{len(words)}Q", *words))

    def words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}Q", self.bytes, address)

    def text(self, address: int) -> str:
        return os.fsdecode(self.bytes[address : self.bytes.find(b"\0", address)])

    def take(self, address: int, size: int, kind: int) -> None:
        first, count = address // PAGE, rounded(size) // PAGE
        self.kinds[first : first + count] = bytes([kind]) * count

    def allocate(self, size: int, kind: int) -> int:
        """Returns the highest address of enough free pages."""
        count = rounded(size) // PAGE
        first = self.kinds.rfind(bytes(count)) if count else -1
        if first < 0:
            return -errno.ENOMEM
        self.take(first * PAGE, size, kind)
        return first * PAGE

    def free(self, address: int, size: int) -> None:
        self.clear(address, size)
        self.take(address, size, self.FREE)

    def clear(self, address: int, size: int) -> None:
        if size:
            self.bytes.madvise(mmap.MADV_DONTNEED, address, rounded(size))

    def forget(self, address: int, size: int) -> None:
        """Implements MADV_DONTNEED: anonymous pages become zero, file pages revert to the file's content."""
        for page in range(address // PAGE, (address + rounded(size)) // PAGE):
            if self.kinds[page] == self.ANONYMOUS:
                self.clear(page * PAGE, PAGE)

    def set_break(self, address: int) -> int:
        first, end = rounded(self.break_) // PAGE, rounded(address) // PAGE
        if self.break_ < address < MEMORY and not any(self.kinds[first:end]):
            self.take(first * PAGE, (end - first) * PAGE, self.ANONYMOUS)
            self.break_ = address
        return self.break_

    def write_page_tables(self) -> None:
        """Maps every address to itself, with large pages that the program may access."""
        present, large, user = 3, 0x80, 4
        directories = PAGE_TABLES + 2 * PAGE
        self.write_words(PAGE_TABLES, (PAGE_TABLES + PAGE) | present | user)
        tables = (directories + part * PAGE for part in range(4))
        self.write_words(PAGE_TABLES + PAGE, *(table | present | user for table in tables))
        pages = range(0, MEMORY, LARGE_PAGE)
        self.write_words(directories, *(page | present | large | (user if page else 0) for page in pages))


@dataclasses.dataclass
class Image:
    """Program in memory."""

    entry: int
    headers: int
    header_count: int


def load(memory: Memory, program: bytes) -> Image:
    """Copies the loadable segments of a program."""
    kind, _, _, entry, headers = struct.unpack_from("<HHIQQ", program, 16)
    (count,) = struct.unpack_from("<H", program, 56)
    bias = BASE if kind == 3 else 0
    image = Image(bias + entry, 0, count)
    end = 0
    for index in range(count):
        header = struct.unpack_from("<IIQQQQQQ", program, headers + 56 * index)
        kind, _, offset, address, _, in_file, in_memory, _ = header
        if kind == 1:
            memory.write(bias + address, program[offset : offset + in_file])
            end = max(end, bias + address + in_memory)
            image.headers = image.headers or bias + address - offset + headers
    memory.take(0, end, memory.ANONYMOUS)
    memory.break_ = rounded(end)
    return image


def write_stack(memory: Memory, image: Image, arguments: list[str], environment: list[str]) -> int:
    """Writes the initial stack of a program and returns the stack pointer."""
    top = MEMORY - PAGE

    def push(data: bytes) -> int:
        nonlocal top
        top -= len(data)
        memory.write(top, data)
        return top

    variables = [push(os.fsencode(text) + b"\0") for text in environment]
    texts = [push(os.fsencode(text) + b"\0") for text in arguments]
    random = push(os.urandom(16))
    # AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY, AT_CLKTCK, AT_SECURE, AT_RANDOM
    auxiliary = {3: image.headers, 4: 56, 5: image.header_count, 6: PAGE, 9: image.entry}
    auxiliary |= {17: 100, 23: 0, 25: random}
    words = [len(texts), *texts, 0, *variables, 0]
    words += [word for pair in auxiliary.items() for word in pair] + [0, 0]
    top = (top & -16) - 8 * (len(words) + len(words) % 2)
    memory.write_words(top, *words)
    return top


class Processor:
    """Bochs' CPU in 64-bit user mode."""

    REGISTERS = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()
    SYSCALL = 17
    # Indices in the table of hooks, and its length.
    FAR_BRANCH, EXCEPTION, HOOKS = 7, 10, 26

    def __init__(self, memory: Memory, model: int) -> None:
        import bochscpu
        import bochscpu.cpu
        import bochscpu.memory

        self.package = bochscpu
        self.library = ctypes.CDLL(bochscpu._bochscpu.__file__)
        self.select(model)
        for page in range(0, MEMORY, PAGE):
            bochscpu.memory.page_insert(page, memory.address + page)
        self.session = bochscpu.Session()
        self.session.missing_page_handler = self.missing
        self.registers = self.session.cpu

    def select(self, model: int) -> None:
        """Sets the CPU model through Bochs' exported parameter, since the package always uses the same model."""
        parameter = self.library._ZN13bx_real_sim_c14get_param_enumEPKcP10bx_param_c
        parameter.restype = ctypes.c_void_p
        parameter.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        set_value = self.library._ZN15bx_param_enum_c3setEl
        set_value.argtypes = [ctypes.c_void_p, ctypes.c_long]
        simulator = ctypes.c_void_p.in_dll(self.library, "SIM")
        set_value(parameter(simulator, b"cpu.model", None), model)

    def missing(self, address: int) -> None:
        print(f"no memory at {address:#x}, at {self.registers.rip:#x}", flush=True)
        os._exit(FAILED)

    def segment(self, selector: int, attributes: int, base: int = 0):
        segment = self.package.Segment()
        segment.present, segment.selector, segment.attr = True, selector, attributes
        segment.base, segment.limit = base, 0xFFFFFFFF
        return segment

    def start(self, entry: int, stack: int) -> None:
        state = self.package.State()
        self.package.cpu.set_long_mode(state)
        state.cr3, state.rsp, state.rip, state.rflags = PAGE_TABLES, stack, entry, 2
        # PAE, OSFXSR, OSXMMEXCPT, FSGSBASE and OSXSAVE.
        state.cr4 = state.cr4 | 1 << 5 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18
        # Floating point without traps; the state consists of x87, SSE, AVX and AVX-512.
        state.cr0 = (state.cr0 | 1 << 1 | 1 << 5) & ~(1 << 2 | 1 << 3)
        state.xcr0 = 0xE7
        state.mxcsr, state.mxcsr_mask, state.fpcw, state.fptw = 0x1F80, 0xFFFF, 0x37F, 0xFFFF
        state.efer = state.efer | 1
        state.star, state.lstar, state.sfmask = 0x23 << 48 | 0x10 << 32, RETURN, 0
        data = self.segment(0x2B, 0xCF3)
        state.cs = self.segment(0x33, 0x22FB)
        state.ss = state.ds = state.es = state.fs = state.gs = data
        self.registers.state = state

    def set_thread_pointer(self, address: int) -> None:
        self.registers.fs = self.segment(0, 0xCF3, address)

    def run(self, system_call: Callable[[], None], exception: Callable[[int, int], None]) -> None:
        """Runs until `session.stop()`.

        Uses the library's interface, because the package's sets every hook, most of which would be called for every
        instruction.
        """
        pointer, integer, short, word = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint16, ctypes.c_uint64

        @ctypes.CFUNCTYPE(None, pointer, integer, integer, short, word, short, word)
        def on_far_branch(_context, _processor, what, *_addresses):
            if what == self.SYSCALL:
                system_call()

        @ctypes.CFUNCTYPE(None, pointer, integer, integer, integer)
        def on_exception(_context, _processor, vector, code):
            exception(vector, code)

        hooks = (pointer * self.HOOKS)()
        hooks[self.FAR_BRANCH] = ctypes.cast(on_far_branch, pointer)
        hooks[self.EXCEPTION] = ctypes.cast(on_exception, pointer)
        self.library.bochscpu_cpu_from.restype = pointer
        self.library.bochscpu_cpu_run.argtypes = [pointer, ctypes.POINTER(pointer)]
        chain = (pointer * 2)(ctypes.addressof(hooks), None)
        self.library.bochscpu_cpu_run(self.library.bochscpu_cpu_from(0), chain)


@dataclasses.dataclass(eq=False)
class Thread:
    """Thread that is running or waiting for its turn."""

    id: int
    thread_pointer: int = 0
    # Address at which to write a zero and wake a thread when this thread exits.
    cleared_at_end: int = 0
    registers: dict[str, int] = dataclasses.field(default_factory=dict)
    # Address of the futex that it waits for, and whether the wait has a timeout.
    waits_at: int | None = None
    has_timeout: bool = False


class Deadlock(Exception):
    """Raised when every thread waits for another."""


class Threads:
    """Schedules the threads. Vector registers need not be saved: a system call is made by a function, and by the calling
    convention its caller keeps nothing in them."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.current = Thread(os.getpid())
        self.all = [self.current]
        self.last_id = self.current.id

    def registers(self) -> dict[str, int]:
        return {name: getattr(self.processor.registers, name) for name in Processor.REGISTERS}

    def new(self, stack: int, thread_pointer: int) -> Thread:
        """Creates a thread that continues where the current one is, with 0 as its result."""
        self.last_id += 1
        registers = self.registers() | {"rax": 0, "rsp": stack}
        thread = Thread(self.last_id, thread_pointer, registers=registers)
        self.all.append(thread)
        return thread

    def after_current(self) -> Iterator[Thread]:
        index = self.all.index(self.current)
        yield from self.all[index + 1 :] + self.all[: index + 1]

    def give_way(self, result: int) -> None:
        """Switches to the next thread; the current one continues later with the result of its system call."""
        self.current.registers = self.registers() | {"rax": result & WORD}
        self.resume(self.next())

    def next(self) -> Thread:
        for thread in self.after_current():
            if thread.waits_at is None:
                return thread
        # No time passes while all threads wait.
        for thread in self.after_current():
            if thread.has_timeout:
                thread.waits_at = None
                thread.registers["rax"] = TIMED_OUT & WORD
                return thread
        raise Deadlock("every thread waits for another")

    def resume(self, thread: Thread) -> None:
        self.current = thread
        for name, value in thread.registers.items():
            setattr(self.processor.registers, name, value)
        self.processor.set_thread_pointer(thread.thread_pointer)

    def wait(self, address: int, has_timeout: bool) -> None:
        self.current.waits_at, self.current.has_timeout = address, has_timeout
        self.give_way(0)

    def wake(self, address: int, count: int) -> int:
        waiting = [thread for thread in self.all if thread.waits_at == address][:count]
        for thread in waiting:
            thread.waits_at = None
        return len(waiting)

    def end_current(self) -> None:
        dead = self.current
        dead.waits_at, dead.has_timeout = -1, False
        following = self.next()
        self.all.remove(dead)
        self.resume(following)


class System:
    """Implements the system calls that test binaries need. Files are those of the host."""

    def __init__(self, memory: Memory, processor: Processor) -> None:
        self.memory = memory
        self.processor = processor
        self.threads = Threads(processor)
        self.status = FAILED
        # Remaining entries of open folders.
        self.listings: dict[int, list[os.DirEntry]] = {}

    def run(self) -> int:
        self.processor.run(self.system_call, self.exception)
        return self.status

    def stop(self, status: int) -> None:
        self.status = status
        self.processor.session.stop()

    def exception(self, vector: int, code: int) -> None:
        registers = self.processor.registers
        names = {6: "an instruction that the CPU doesn't support", 13: "a protection fault", 14: "a page fault"}
        what = names.get(vector, f"exception {vector}")
        print(f"{what} ({code:#x}) at {registers.rip:#x}, address {registers.cr2:#x}", flush=True)
        self.stop(128 + vector)

    def system_call(self) -> None:
        """Handles the system call in the registers. An error ends the program, since it must not propagate into the
        library that calls this."""
        registers = self.processor.registers
        names = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
        arguments = [getattr(registers, name) for name in names]
        try:
            call = self.CALLS.get(registers.rax)
            if call is None:
                print(f"unknown system call {registers.rax}", flush=True)
                result = -errno.ENOSYS
            else:
                result = call(self, *arguments[: call.__code__.co_argcount - 1])
        except OSError as error:
            result = -error.errno
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return self.stop(FAILED)
        # Calls that switch threads have no result: the registers belong to another thread.
        if result is not None:
            registers.rax = result & WORD

    # Files

    @staticmethod
    def folder(descriptor: int) -> int | None:
        """Converts AT_FDCWD to the working folder."""
        descriptor &= 0xFFFFFFFF
        return None if descriptor == 0xFFFFFF9C else descriptor

    def open_at(self, folder: int, path: int, flags: int, mode: int) -> int:
        return os.open(self.memory.text(path), flags, mode, dir_fd=self.folder(folder))

    def close(self, descriptor: int) -> int:
        self.listings.pop(descriptor, None)
        # The standard streams are those of the host.
        if descriptor > 2:
            os.close(descriptor)
        return 0

    def read(self, descriptor: int, address: int, size: int) -> int:
        data = os.read(descriptor, size)
        self.memory.write(address, data)
        return len(data)

    def read_at(self, descriptor: int, address: int, size: int, offset: int) -> int:
        data = os.pread(descriptor, size, offset)
        self.memory.write(address, data)
        return len(data)

    def write(self, descriptor: int, address: int, size: int) -> int:
        return os.write(descriptor, self.memory.read(address, size))

    def write_parts(self, descriptor: int, parts: int, count: int) -> int:
        words = self.memory.words(parts, 2 * count)
        return sum(self.write(descriptor, address, size) for address, size in zip(words[::2], words[1::2]))

    def seek(self, descriptor: int, offset: int, whence: int) -> int:
        return os.lseek(descriptor, offset - (offset >> 63 << 64), whence)

    def write_status(self, address: int, status: os.stat_result) -> int:
        numbers = (status.st_dev, status.st_ino, status.st_nlink)
        numbers += (status.st_mode, status.st_uid, status.st_gid)
        times = (0,) * 9
        self.memory.write(
            address,
            struct.pack("<3Q4IQ3q9q", *numbers, 0, 0, status.st_size, PAGE, status.st_blocks, *times),
        )
        return 0

    def status_of(self, descriptor: int, to: int) -> int:
        return self.write_status(to, os.fstat(descriptor))

    def status_at(self, folder: int, path: int, to: int, flags: int) -> int:
        name = self.memory.text(path)
        if not name:
            return self.status_of(folder, to)
        follow = not flags & 0x100
        return self.write_status(to, os.stat(name, dir_fd=self.folder(folder), follow_symlinks=follow))

    def list_folder(self, descriptor: int, to: int, room: int) -> int:
        if descriptor not in self.listings:
            self.listings[descriptor] = list(os.scandir(descriptor))
        entries, used = self.listings[descriptor], 0
        while entries:
            name = os.fsencode(entries[-1].name) + b"\0"
            size = (19 + len(name) + 7) & -8
            if used + size > room:
                break
            entry = entries.pop()
            kind = 4 if entry.is_dir(follow_symlinks=False) else 8
            self.memory.write(to + used, struct.pack("<QqHB", entry.inode(), 0, size, kind) + name)
            used += size
        return used

    def make_folder(self, path: int, mode: int) -> int:
        os.mkdir(self.memory.text(path), mode)
        return 0

    def remove_folder(self, path: int) -> int:
        os.rmdir(self.memory.text(path))
        return 0

    def remove_file(self, path: int) -> int:
        os.unlink(self.memory.text(path))
        return 0

    def remove_at(self, folder: int, path: int, flags: int) -> int:
        remove = os.rmdir if flags & 0x200 else os.unlink
        remove(self.memory.text(path), dir_fd=self.folder(folder))
        return 0

    def rename(self, path: int, new: int) -> int:
        os.rename(self.memory.text(path), self.memory.text(new))
        return 0

    def truncate(self, descriptor: int, size: int) -> int:
        os.ftruncate(descriptor, size)
        return 0

    def working_folder(self, to: int, room: int) -> int:
        path = os.fsencode(os.getcwd()) + b"\0"
        if len(path) > room:
            return -errno.ERANGE
        self.memory.write(to, path)
        return len(path)

    def read_link(self, path: int, to: int, room: int) -> int:
        target = os.fsencode(os.readlink(self.memory.text(path)))[:room]
        self.memory.write(to, target)
        return len(target)

    def poll(self, descriptors: int, count: int) -> int:
        for index in range(count):
            self.memory.write(descriptors + 8 * index + 6, bytes(2))
        return 0

    def not_a_terminal(self) -> int:
        return -errno.ENOTTY

    # Memory

    def map(self, _hint: int, size: int, _access: int, flags: int, descriptor: int, offset: int) -> int:
        fixed, anonymous = flags & 0x10, flags & 0x20
        if fixed:
            return -errno.ENOMEM
        address = self.memory.allocate(size, self.memory.ANONYMOUS if anonymous else self.memory.FILE)
        if address >= 0 and not anonymous:
            self.memory.write(address, os.pread(descriptor, size, offset))
        return address

    def unmap(self, address: int, size: int) -> int:
        self.memory.free(address, size)
        return 0

    def remap(self, address: int, size: int, new_size: int) -> int:
        if rounded(new_size) <= rounded(size):
            self.memory.free(address + rounded(new_size), rounded(size) - rounded(new_size))
            return address
        new = self.memory.allocate(new_size, self.memory.ANONYMOUS)
        if new >= 0:
            self.memory.write(new, self.memory.read(address, size))
            self.memory.free(address, size)
        return new

    def advise(self, address: int, size: int, advice: int) -> int:
        if advice == 4:
            self.memory.forget(address, size)
        return 0

    def set_break(self, address: int) -> int:
        return self.memory.set_break(address)

    # The process

    def exit(self, status: int) -> int:
        self.stop(status & 0xFF)
        return 0

    def abort(self) -> int:
        print("the program kills itself with a signal", flush=True)
        self.stop(128 + 6)
        return 0

    def time(self, clock: int, to: int) -> int:
        nanoseconds = time.time_ns() if clock == 0 else time.monotonic_ns()
        self.memory.write_words(to, *divmod(nanoseconds, 10**9))
        return 0

    def random(self, to: int, size: int) -> int:
        self.memory.write(to, os.urandom(size))
        return size

    def processors(self, _thread: int, _size: int, to: int) -> int:
        self.memory.write_words(to, 1)
        return 8

    def limits(self, _process: int, _what: int, _new: int, to: int) -> int:
        if to:
            self.memory.write_words(to, STACK, STACK)
        return 0

    def process_id(self) -> int:
        return os.getpid()

    def user(self) -> int:
        return os.getuid()

    def nothing(self) -> int:
        return 0

    def unknown(self) -> int:
        return -errno.ENOSYS

    def thread_pointer(self, what: int, address: int) -> int:
        """Implements only ARCH_SET_FS."""
        if what != 0x1002:
            return -errno.EINVAL
        self.threads.current.thread_pointer = address
        self.processor.set_thread_pointer(address)
        return 0

    # Threads

    def thread_id(self) -> int:
        return self.threads.current.id

    def set_cleared_at_end(self, address: int) -> int:
        self.threads.current.cleared_at_end = address
        return self.threads.current.id

    def clone(self, arguments: int) -> int:
        flags, _, child_id, parent_id, _, stack, size, pointer = self.memory.words(arguments, 8)
        thread = self.threads.new(stack + size, pointer)
        thread.cleared_at_end = child_id
        if flags & 0x100000:
            self.memory.write(parent_id, struct.pack("<I", thread.id))
        return thread.id

    def give_way(self) -> None:
        self.threads.give_way(0)

    def end_thread(self, status: int) -> None:
        address = self.threads.current.cleared_at_end
        if address:
            self.memory.write(address, bytes(4))
            self.threads.wake(address, 1)
        if len(self.threads.all) == 1:
            self.stop(status & 0xFF)
        else:
            self.threads.end_current()

    def futex(self, address: int, operation: int, value: int, timeout: int) -> int | None:
        wait, wake, wait_bitset, wake_bitset = 0, 1, 9, 10
        operation &= 0x7F
        if operation in (wake, wake_bitset):
            return self.threads.wake(address, value & 0x7FFFFFFF)
        if operation not in (wait, wait_bitset):
            return -errno.ENOSYS
        if self.memory.read(address, 4) != struct.pack("<I", value & 0xFFFFFFFF):
            return -errno.EAGAIN
        self.threads.wait(address, timeout != 0)
        return None

    CALLS: dict[int, Callable[..., int | None]] = {
        0: read,
        1: write,
        3: close,
        5: status_of,
        7: poll,
        8: seek,
        9: map,
        10: nothing,  # mprotect
        11: unmap,
        12: set_break,
        13: nothing,  # rt_sigaction
        14: nothing,  # rt_sigprocmask
        16: not_a_terminal,
        17: read_at,
        20: write_parts,
        24: give_way,  # sched_yield
        25: remap,
        28: advise,
        35: give_way,  # nanosleep
        39: process_id,
        60: end_thread,
        62: abort,  # kill
        72: nothing,  # fcntl
        77: truncate,
        79: working_folder,
        82: rename,
        83: make_folder,
        84: remove_folder,
        87: remove_file,
        89: read_link,
        102: user,
        107: user,
        131: nothing,  # sigaltstack
        157: nothing,  # prctl
        158: thread_pointer,
        186: thread_id,
        200: abort,  # tkill
        202: futex,
        204: processors,
        217: list_folder,
        218: set_cleared_at_end,
        228: time,
        230: give_way,  # clock_nanosleep
        231: exit,
        234: abort,  # tgkill
        257: open_at,
        262: status_at,
        263: remove_at,
        273: nothing,  # set_robust_list
        302: limits,
        318: random,
        332: unknown,  # statx
        334: unknown,  # rseq
        435: clone,
    }


def parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--model", type=int, required=True, help="Bochs' number of the CPU model")
    parser.add_argument("--shim", type=pathlib.Path, help="library to load before Bochs")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    if arguments.shim:
        ctypes.CDLL(str(arguments.shim), ctypes.RTLD_GLOBAL)
    memory = Memory()
    image = load(memory, arguments.program.read_bytes())
    memory.write(RETURN, SYSRETQ)
    memory.write_page_tables()
    command = [str(arguments.program), *arguments.arguments]
    stack = write_stack(memory, image, command, arguments.environment)
    processor = Processor(memory, arguments.model)
    processor.start(image.entry, stack)
    return System(memory, processor).run()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Skips the interpreter's shutdown, in which Bochs crashes.
    os._exit(status)
