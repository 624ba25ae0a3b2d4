"""Runs the wrapped command as a shell does: in the foreground, so that it alone gets Ctrl-C."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Self

_NOT_FOUND: Final = 127
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS: Final = (*_FORWARDED, signal.SIGTTIN, signal.SIGTTOU)


def wrap(command: Sequence[str], more_env: Mapping[str, str]) -> int:
    """Run a command to its end, with more environment variables.

    It has a process group of its own, so a Ctrl-C in the terminal reaches it once and this process
    not at all; signals that are sent to this process are passed on.

    Returns:
        Its exit code, 128 and the signal if one ended it, 127 if it can't be run.
    """
    with _terminal() as terminal, _Group() as group:
        try:
            group.start(command, more_env)
        except OSError as e:
            print(f"error: can't run {command[0]}: {e.strerror}", file=sys.stderr)
            return _NOT_FOUND
        return group.wait(terminal)


class _Group:
    """The process group of the command. Signals go to it, and after its end to nobody."""

    def __init__(self) -> None:
        self._pid = 0
        self._early: list[int] = []

    def __enter__(self) -> "Self":
        for signum in _FORWARDED:
            signal.signal(signum, lambda number, _: self.send(number))
        return self

    def __exit__(self, *_: object) -> None:
        for signum in _FORWARDED:
            signal.signal(signum, signal.SIG_IGN)  # nothing is to disturb the cleaning up

    def start(self, command: Sequence[str], more_env: Mapping[str, str]) -> None:
        env = {**os.environ, **more_env}
        # Not Popen, which has a process group only since Python 3.11.
        self._pid = os.posix_spawnp(
            command[0], list(command), env, setpgroup=0, setsigdef=_DEFAULTS
        )
        for signum in self._early:
            self.send(signum)

    def send(self, signum: int) -> None:
        if not self._pid:
            self._early.append(signum)
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signum)

    def wait(self, terminal: int | None) -> int:
        _into_foreground(terminal, self._pid)
        while True:
            _, status = os.waitpid(self._pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            self._stopped(status, terminal)

    def _stopped(self, status: int, terminal: int | None) -> None:
        # After Ctrl-Z stop as well, and continue with it. Any other stop means that it read the
        # terminal too early.
        if os.WSTOPSIG(status) == signal.SIGTSTP:
            _into_foreground(terminal, os.getpgrp())
            os.kill(os.getpid(), signal.SIGSTOP)
        _into_foreground(terminal, self._pid)
        self.send(signal.SIGCONT)


@contextmanager
def _terminal() -> Iterator[int | None]:
    """Find the terminal that is this process's to give, and take it back at the end."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield None
        return
    is_ours = os.tcgetpgrp(terminal) == os.getpgrp()
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # who takes it back is in the background
    try:
        yield terminal if is_ours else None
    finally:
        if is_ours:
            _into_foreground(terminal, os.getpgrp())
        os.close(terminal)


def _into_foreground(terminal: int | None, group: int) -> None:
    if terminal is not None:
        with suppress(OSError):
            os.tcsetpgrp(terminal, group)
