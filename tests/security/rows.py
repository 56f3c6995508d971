"""The table of docs/security.md, counted: `python3 tests/security/rows.py`."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
ROW = re.compile(r"(?m)^\| ([A-Z]{3})-(\d\d) \| ([012]) \| (.*) \| (.*) \|$")
STATES = ("met", "not applicable", "open")


def state(how: str) -> str:
    return next((s for s in STATES if how.lower().startswith(s)), "met")


def rows() -> list[tuple[str, int, str, str, str]]:
    """Id, priority, state, how, tests."""
    found = ROW.findall((ROOT / "docs/security.md").read_text())
    return [(f"{area}-{number}", int(priority), state(how), how, tests) for area, number, priority, how, tests in found]


def tests() -> dict[str, list[str]]:
    """The black-box tests by the row that they are named for."""
    found = collections.defaultdict(list)
    for file in sorted(pathlib.Path(__file__).parent.glob("test_*.py")):
        for name in re.findall(r"(?m)^def (test_[a-z]{3}_\d\d_\w+)\(", file.read_text()):
            found[name[5:11].upper().replace("_", "-")].append(name)
    return dict(found)


def main():
    counted = collections.Counter((priority, state) for _, priority, state, _, _ in rows())
    print("priority  " + "  ".join(f"{s:>14}" for s in STATES) + f"  {'all':>5}")
    for priority in (0, 1, 2):
        print(f"{priority:>8}  " + "  ".join(f"{counted[priority, s]:>14}" for s in STATES) + f"  {sum(counted[priority, s] for s in STATES):>5}")
    print(f"{'all':>8}  " + "  ".join(f"{sum(counted[p, s] for p in (0, 1, 2)):>14}" for s in STATES) + f"  {counted.total():>5}")
    print(f"{sum(map(len, tests().values()))} black-box tests")
    for row, priority, state, how, _ in rows():
        if state != "met" and "-v" in sys.argv:
            print(f"{row} ({priority}): {how}")


if __name__ == "__main__":
    main()
