"""docs/standards.md names tests: each one exists, and each row that is met has one."""

import re

import rows

ROW = re.compile(r"(?m)^\| (\d[^|]*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$")
STATES = ("met", "not offered", "declined")


def everything() -> str:
    files = [*rows.ROOT.glob("tests/**/*.rs"), *rows.ROOT.glob("tests/**/*.py"), *rows.ROOT.glob("src/**/*.rs")]
    return "\n".join(file.read_text() for file in files)


def test_each_row_has_a_state_and_tests_that_exist():
    code, found = everything(), ROW.findall((rows.ROOT / "docs/standards.md").read_text())
    assert len(found) > 20
    for section, _, state, tests in found:
        assert state.startswith(STATES), (section, state)
        names = re.findall(r"`([a-z0-9_/]+)`", tests)
        assert names, section
        for name in names:
            exists = re.search(rf"\b(fn|def) {re.escape(name)}\(", code) or ("/" in name and (rows.ROOT / name).is_dir())
            assert exists, f"{section}: there is no test {name}"
