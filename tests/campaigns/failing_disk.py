"""A disk that fails at the n-th operation on files below a folder: full, read-only, an error once, or a folder lost.

The functions of Python that change files are replaced, for the rest of a process: it is made for forked processes.
Writers in other languages are met by limits of the system: `RLIMIT_FSIZE`, or a small file system.
"""

import builtins
import errno
import io
import mmap
import os
import shutil
import struct
from pathlib import Path

FAULTS = ("full", "read-only", "once", "lost")
GROWING = ("open", "write", "fsync", "rename", "mkdir", "allocate")  # operations that a full disk refuses


class Counter:
    """A number that a forked process and its parent share."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 8)

    @property
    def value(self):
        return struct.unpack("q", self.memory[:8])[0]

    def increment(self):
        self.memory[:8] = struct.pack("q", self.value + 1)
        return self.value


class Disk:
    """Counts the operations below `root`, and fails at number `at`, counted from 1; 0: never.

    A disk that is full or read-only stays so; an input/output error occurs `once`; `lost` removes `victim()`.
    """

    def __init__(self, root, fault="full", at=0, counter=None, victim=None):
        self.root = os.path.realpath(root)
        self.fault, self.at, self.counter, self.victim = fault, at, counter or Counter(), victim

    def error(self, operation):
        """The error of the next operation; None where it succeeds."""
        number = self.counter.increment()
        if not self.at or number < self.at:
            return None
        if self.fault == "lost":
            if number == self.at:
                self.at, victim = 0, self.victim()  # removals count, too
                Path(f"{self.root}.lost", victim.name).mkdir(parents=True)
                shutil.rmtree(victim, ignore_errors=True)
            return None
        if self.fault == "once":
            return OSError(errno.EIO, os.strerror(errno.EIO)) if number == self.at else None
        if self.fault == "read-only":
            return OSError(errno.EROFS, os.strerror(errno.EROFS))
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if operation in GROWING else None

    def check(self, operation, *paths):
        """Raise the error of an operation on a path or descriptor below the folder."""
        if any(self.holds(path) for path in paths) and (error := self.error(operation)):
            raise OSError(error.errno, error.strerror, str(paths[0]))

    def holds(self, path, dir_fd=None):
        """Whether a path or descriptor lies below the folder."""
        if isinstance(path, int):
            try:
                path = Path(f"/proc/self/fd/{path}").readlink()
            except OSError:
                return False
        elif dir_fd is not None:
            path = Path(f"/proc/self/fd/{dir_fd}").readlink() / os.fspath(path)
        return f"{os.path.abspath(os.fsdecode(path))}/".startswith(f"{self.root}/")  # noqa: PTH100

    def install(self):
        """Replace the functions of this process."""
        for name, operation in {
            "fsync": "fsync", "fdatasync": "fsync", "rename": "rename", "replace": "rename", "mkdir": "mkdir",
            "link": "open", "symlink": "open", "truncate": "write", "ftruncate": "write", "unlink": "remove",
            "remove": "remove", "rmdir": "remove", "posix_fallocate": "allocate",
        }.items():  # fmt: skip
            setattr(os, name, self._checked(getattr(os, name), operation))
        os.open, os.write, os.pwrite = self._opening(os.open), self._writing(os.write), self._writing(os.pwrite)
        os.writev = self._writing(os.writev)
        io.open = builtins.open = self._buffered(io.open)
        import safetensors.torch

        plain = safetensors.torch.serialize_file

        def serialize(tensors, filename, metadata=None):  # written by a library in Rust, whose errors have a class
            if self.holds(filename) and (error := self.error("write")):
                Path(filename).touch()
                raise safetensors.SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})")
            return plain(tensors, filename, metadata=metadata)

        safetensors.torch.serialize_file = serialize

    def _checked(self, plain, operation):
        def checked(*args, **options):
            paths = [arg for arg in args[:2] if isinstance(arg, str | bytes | os.PathLike | int)]
            if operation in ("allocate", "write"):
                paths = paths[:1]  # the second argument is a length
            dir_fd = options.get("dir_fd")
            if dir_fd is not None:
                if self.holds(paths[0], dir_fd) and (error := self.error(operation)):
                    raise error
            else:
                self.check(operation, *paths)
            return plain(*args, **options)

        return checked

    def _opening(self, plain):
        def opened(path, flags, *args, **options):
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and options.get("dir_fd") is None:
                self.check("open", path)
            return plain(path, flags, *args, **options)

        return opened

    def _writing(self, plain):
        def write(descriptor, data, *args):
            if self.holds(descriptor) and (error := self.error("write")):
                if isinstance(data, bytes | memoryview):  # a full disk takes the first half
                    plain(descriptor, bytes(data)[: len(data) // 2], *args)
                raise error
            return plain(descriptor, data, *args)

        return write

    def _buffered(self, plain):
        disk = self

        class File(io.FileIO):
            def write(self, data):
                if error := disk.error("write"):
                    if error.errno != errno.EROFS:
                        super().write(bytes(data)[: len(data) // 2])
                    raise error
                return super().write(data)

        def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
            if not set(mode) & set("wax+") or not self.holds(file):
                return plain(file, mode, buffering, encoding, errors, newline, closefd, opener)
            if not isinstance(file, int):
                self.check("open", file)
            raw = File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            if "b" in mode:
                return buffered
            text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
            text.mode = mode
            return text

        return opened
