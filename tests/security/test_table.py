"""The table of docs/security.md is complete: every number of every area, every row with the tests that its state asks for, every test with its row."""

import rows

AREAS = {"TOK": 27, "OAU": 15, "KEY": 23, "REF": 20, "SES": 16, "PWD": 17, "MFA": 24, "ENU": 16, "EML": 33, "WEB": 23, "LIM": 22, "API": 22, "ADM": 19, "LOG": 13, "STO": 16, "OPS": 18, "SUP": 12, "FED": 18}


def test_every_row_is_there_once():
    seen = [row for row, *_ in rows.rows()]
    assert seen == [f"{area}-{n:02}" for area, count in AREAS.items() for n in range(1, count + 1)]


def test_every_row_has_the_tests_or_the_reason_that_its_state_asks_for():
    named = rows.tests()
    for row, _, state, how, tests in rows.rows():
        if state in ("met", "by document"):
            assert row in named and all(f"`{name}`" in tests for name in named[row]), row
            asks = rows.black_box() & set(named[row])
            assert bool(asks) == (state == "met"), f"{row} is {state}, and these of its tests ask the program: {asks}"
        else:
            assert tests == "–" and row not in named and len(how.split(":", 1)[1]) > 10, row
    assert named.keys() <= {row for row, *_ in rows.rows()}


def test_the_counts_in_the_document_are_those_of_the_rows():
    assert rows.table() in (rows.ROOT / "docs/security.md").read_text(), f"docs/security.md must say:\n{rows.table()}"


def test_a_test_that_takes_the_service_and_asks_it_nothing_is_no_black_box_test():
    assert "test_sup_10_how_soon" not in rows.black_box() and "test_ref_02_spent_is_dead" in rows.black_box()
