"""Counts the tests of a run.

Each part of a run has a folder for what its test runners report: JUnit files (`*.xml`) and lines of
suite, test and outcome with tabs between them (`*.tsv`).

    python3 tests/count.py part FOLDER   prints how many tests passed, failed and were skipped
    python3 tests/count.py list          turns nextest's list of tests (JSON, standard input) into lines
                                         that say that each is skipped

A test that several parts have run, such as one that runs on both databases, counts once: it failed if
it failed in any of them, and it is skipped only if no part ran it. A list of all tests in a folder of
its own therefore makes those count as skipped that no part ran.
"""

import collections
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

OUTCOMES = ("skipped", "passed", "failed")


def of_junit(file: pathlib.Path):
    """Yields suite, test and outcome of each test case of a JUnit file."""

    def walk(element, suite):
        for child in element:
            if child.tag == "testsuite":
                yield from walk(child, child.get("name", suite))
            elif child.tag == "testcase":
                inside = {c.tag for c in child}
                outcome = "failed" if inside & {"failure", "error"} else "skipped" if "skipped" in inside else "passed"
                # nextest names the suite; pytest, vitest and Node name the class or the file of each case.
                place = child.get("file") or child.get("classname") or ""
                yield f"{suite} {place}".strip() if place != suite else suite, child.get("name", ""), outcome

    yield from walk(ElementTree.parse(file).getroot(), "")


def of_lines(file: pathlib.Path):
    """Yields suite, test and outcome of each line."""
    for line in file.read_text().splitlines():
        suite, test, outcome = line.split("\t")
        if outcome not in OUTCOMES:
            raise ValueError(f"{file}: {outcome}")
        yield suite, test, outcome


def records(file: pathlib.Path) -> list[tuple[str, str, str]]:
    """Returns what a file reports; one that cannot be read, as of a runner that was killed, is a failed test of its own."""
    read = {".xml": of_junit, ".tsv": of_lines}.get(file.suffix)
    try:
        return list(read(file)) if read else []
    except (ElementTree.ParseError, ValueError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return [("reports that cannot be read", file.name, "failed")]


def counted(folder: pathlib.Path) -> collections.Counter:
    """Counts the distinct tests of a folder and of those below it, by outcome."""
    worst = {}
    for file in sorted(folder.rglob("*")):
        for suite, test, outcome in records(file):
            known = worst.get((suite, test), OUTCOMES[0])
            worst[suite, test] = max(known, outcome, key=OUTCOMES.index)
    return collections.Counter(worst.values())


def listed(text: str):
    """Yields a line for each test of nextest's list."""
    for suite, found in json.loads(text)["rust-suites"].items():
        for test in found["testcases"]:
            yield f"{suite}\t{test}\tskipped"


def main():
    if sys.argv[1] == "list":
        print(*listed(sys.stdin.read()), sep="\n")
    else:
        found = counted(pathlib.Path(sys.argv[2]))
        print(found["passed"], found["failed"], found["skipped"])


if __name__ == "__main__":
    main()
