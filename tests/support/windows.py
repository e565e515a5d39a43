"""Run before a program: our own packages see `os` and `signal` as they are on Windows, and no module of POSIX."""

import builtins
import os
import signal
import types

OURS = ("lincae", "callbacks", "datamodules")
MODULES = {"fcntl", "resource", "termios", "pwd", "grp", "pty", "tty", "syslog"}
NAMES = {
    "os": {
        "fork",
        "getuid",
        "geteuid",
        "killpg",
        "setsid",
        "getpgid",
        "sched_getaffinity",
        "mkfifo",
        "statvfs",
        "uname",
    }
    | {"nice", "getloadavg", "sched_setaffinity", "register_at_fork", "pread", "posix_fadvise", "fchmod", "sysconf"}
    | {name for name in dir(os) if name.startswith("EX_")},
    "signal": {name for name in dir(signal) if name.startswith("SIG")}
    - {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"},
}


def without(module: types.ModuleType, names: set[str]) -> types.ModuleType:
    """A copy of a module that lacks some names."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({name: value for name, value in vars(module).items() if name not in names})
    return copy


original, stand_ins = builtins.__import__, {"os": without(os, NAMES["os"]), "signal": without(signal, NAMES["signal"])}


def as_on_windows(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").split(".")[0] in OURS:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in stand_ins:
            return stand_ins[name]
    return original(name, globals, locals, fromlist, level)


builtins.__import__ = as_on_windows
