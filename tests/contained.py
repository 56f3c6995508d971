"""Runs a command under a time limit and leaves none of its processes behind.

    python3 tests/contained.py SECONDS COMMAND [ARGUMENT...]

This process makes itself the reaper of all its descendants, so it also finds a server that a test has
started in a session of its own. When the command ends, when the seconds have passed, when this
process gets SIGINT, SIGTERM or SIGHUP, or when its parent or the process named by the environment
variable RUN_PID is gone, every descendant that is left gets SIGTERM and, five seconds later, SIGKILL.

The exit status is that of the command, 124 after the time limit, or 128 plus the number of a signal.
The environment variable USAGE may name a file: it gets the seconds that passed and the CPU seconds
that the command and its descendants took.
"""

import contextlib
import ctypes
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

# The numbers of <linux/prctl.h>.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TIME_LIMIT = 124
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(Exception):
    """The command must end now; the value is the exit status."""


def stop(number, _frame):
    # One signal is enough; a second one must not disturb what the first has begun.
    ignore()
    raise Stop(128 + number)


def ignore():
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each in (*SIGNALS, signal.SIGALRM):
        # Not SIG_IGN: Python reports a signal that is pending by then as an error.
        signal.signal(each, lambda *_: None)


def descendants() -> dict[int, str]:
    """Returns the name of each living process below this one, by its id."""
    children, names = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name stands in brackets and may hold any character; state and parent follow it.
            before, after = (folder / "stat").read_text(errors="replace").rsplit(")", 1)
            state, parent = after.split()[:2]
            children.setdefault(int(parent), []).append((int(folder.name), state))
            names[int(folder.name)] = before.split("(", 1)[1]
    found, below = {}, [os.getpid()]
    while below:
        for child, state in children.get(below.pop(), []):
            below.append(child)
            if state != "Z":
                found[child] = names[child]
    return found


def reap():
    """Takes note of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_descendants() -> dict[int, str]:
    """Ends everything below this process and returns what there was."""
    first, began, asked = descendants(), time.monotonic(), set()
    while left := descendants():
        passed = time.monotonic() - began
        if passed > 30:
            print(f"contained: these do not end: {left}", file=sys.stderr, flush=True)
            break
        for pid in left:
            if passed > 5 or pid not in asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if passed > 5 else signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.02)
        reap()
    reap()
    return first


def main() -> int:
    seconds, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    for option, value in ((PR_SET_CHILD_SUBREAPER, 1), (PR_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit(f"contained: prctl {option} failed: {os.strerror(ctypes.get_errno())}")
    began, status = time.monotonic(), None
    run = os.environ.get("RUN_PID")

    def look(_number, _frame):
        over = time.monotonic() - began >= seconds
        if over or (run and not pathlib.Path("/proc", run).exists()):
            ignore()
            raise Stop(TIME_LIMIT if over else 128 + signal.SIGTERM)

    try:
        for number in SIGNALS:
            signal.signal(number, stop)
        if os.getppid() != parent:
            raise Stop(128 + signal.SIGTERM)
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
        # A session of its own: an interrupt at the terminal comes here first.
        main_process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        while status is None:
            pid, ended = os.wait()
            if pid == main_process.pid:
                code = os.waitstatus_to_exitcode(ended)
                status = code if code >= 0 else 128 - code
        why = None
    except Stop as stopped:
        (status,) = stopped.args
        why = f"stopped after its {seconds} s" if status == TIME_LIMIT else f"stopped by signal {status - 128}"
    except OSError as error:
        status, why = 127, f"{command[0]}: {error.strerror}"
    ignore()
    left = end_descendants()
    if left:
        print(f"contained: ended {len(left)} processes that were left: {' '.join(sorted(set(left.values())))}", file=sys.stderr)
    if why:
        print(f"contained: {why}: {' '.join(command)[:200]}", file=sys.stderr)
    if usage := os.environ.get("USAGE"):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        pathlib.Path(usage).write_text(f"{time.monotonic() - began:.0f} {used.ru_utime + used.ru_stime:.0f}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
