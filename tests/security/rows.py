"""Counts the rows of docs/security.md by state: `python3 tests/security/rows.py` (`-v` lists those that are not met).

A row states how it is met, or begins with another state and a colon:

- met: a black-box test shows it, which asks the real binary or runs a program;
- by document: a text, a manifest or a source file of the repository shows it, and its test reads that;
- planned: the feature to which the row belongs is not built yet;
- declined: it is left out by decision, which is named;
- not applicable: the row is about something that this service does not do.
"""

import ast
import collections
import functools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
ROW = re.compile(r"(?m)^\| ([A-Z]{3})-(\d\d) \| ([012]) \| (.*) \| (.*) \|$")
MET = "met"
STATES = (MET, "by document", "planned", "declined", "not applicable")
# What a test uses that asks the service something or runs a program.
ASKS = {"httpx", "subprocess", "socket", "Service", "Place"}


def state(how: str) -> str:
    return next((s for s in STATES[1:] if how.lower().startswith(f"{s}:")), MET)


def rows() -> list[tuple[str, int, str, str, str]]:
    """Returns id, priority, state, how and tests of each row."""
    found = ROW.findall((ROOT / "docs/security.md").read_text())
    return [(f"{area}-{number}", int(priority), state(how), how, tests) for area, number, priority, how, tests in found]


def test_files() -> list[pathlib.Path]:
    return sorted(pathlib.Path(__file__).parent.glob("test_*.py"))


def tests() -> dict[str, list[str]]:
    """Returns the names of the tests by the row that they are named for."""
    found = collections.defaultdict(list)
    for file in test_files():
        for name in re.findall(r"(?m)^def (test_[a-z]{3}_\d\d_\w+)\(", file.read_text()):
            found[name[5:11].upper().replace("_", "-")].append(name)
    return dict(found)


@functools.cache
def black_box() -> set[str]:
    """Returns the tests that ask the service something or run a program: they use one of their fixtures, or a name of
    `ASKS`, themselves or in a function of their module. A test that takes a fixture and does not use it is none."""
    found = set()
    for file in test_files():
        functions = {f.name: f for f in ast.parse(file.read_text()).body if isinstance(f, ast.FunctionDef)}

        def used(name: str, seen: frozenset = frozenset()) -> set[str]:
            function = functions[name]
            names = {n.id for statement in function.body for n in ast.walk(statement) if isinstance(n, ast.Name)}
            for other in (names & functions.keys()) - seen:
                names |= used(other, seen | {name}) & ASKS
            return names

        for name, function in functions.items():
            fixtures = {a.arg for a in function.args.args}
            if name.startswith("test_") and used(name) & (ASKS | fixtures):
                found.add(name)
    return found


def table() -> str:
    """Returns the counts as a table of Markdown: priority by state."""
    counted = collections.Counter((priority, state) for _, priority, state, _, _ in rows())

    def line(title: str, priorities: tuple[int, ...]) -> str:
        numbers = [sum(counted[p, s] for p in priorities) for s in STATES]
        return f"| {title} | {' | '.join(map(str, numbers))} | {sum(numbers)} |"

    head = [f"| rows | {' | '.join(STATES)} | all |", "| --- " * (len(STATES) + 2) + "|"]
    return "\n".join([*head, *(line(f"priority {p}", (p,)) for p in (0, 1, 2)), line("all", (0, 1, 2))])


def main():
    print(table())
    named = [name for names in tests().values() for name in names]
    print(f"{len(named)} tests are named for a row; {len(black_box() & set(named))} of them are black-box tests")
    for row, priority, state, how, _ in rows():
        if state != MET and "-v" in sys.argv:
            print(f"{row} ({priority}): {how}")


if __name__ == "__main__":
    main()
