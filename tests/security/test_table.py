"""The table is whole: every number of every area, every row that is met with its test, every test with its row."""

import collections

import rows

AREAS = {"TOK": 27, "OAU": 15, "KEY": 23, "REF": 20, "SES": 16, "PWD": 17, "ENU": 16, "EML": 21, "WEB": 23, "LIM": 22, "API": 22, "ADM": 19, "LOG": 13, "STO": 16, "OPS": 18, "SUP": 12}


def test_every_row_is_there_once():
    seen = [row for row, *_ in rows.rows()]
    assert seen == [f"{area}-{n:02}" for area, count in AREAS.items() for n in range(1, count + 1)]


def test_what_is_met_has_its_test_and_the_rest_its_reason():
    named = rows.tests()
    for row, _, state, how, tests in rows.rows():
        if state == "met":
            assert row in named and all(f"`{name}`" in tests for name in named[row]), row
        else:
            assert tests == "–" and row not in named and len(how.split(":", 1)[1]) > 10, row
    assert named.keys() <= {row for row, *_ in rows.rows()}


def test_no_release_blocker_is_open():
    open_ = [row for row, priority, state, *_ in rows.rows() if state == "open" and priority == 0]
    assert not open_
    assert collections.Counter(state for _, _, state, *_ in rows.rows())["met"] > 250
