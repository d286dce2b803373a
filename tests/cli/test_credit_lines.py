"""What people are shown of credit: nothing where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobgate.cli.describe import batch_lines
from jobgate.cli.places import account_lines
from jobgate.client.places import Account
from jobgate.client.records import BatchRecord, Credit

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("credit", "line"),
    [
        (None, None),
        (Credit(estimate=20.75, canonical=12.5, total=12.5), "12.5 of 20.75"),
        (Credit(estimate=4e4, canonical=1e4, total=1.5e4), "10,000 of 40,000; 15,000 with all attempts"),
    ],
)
def test_a_batch_shows_what_it_was_granted_of_what_it_is_worth(credit: Credit | None, line: str | None) -> None:
    batch = BatchRecord(id="2n6r0kqa", state="running", count=4, counts={"running": 4}, created=NOW, credit=credit)
    shown = [text.split(maxsplit=1) for text in batch_lines(batch, NOW, 80)]
    assert next((words[1] for words in shown if words[0] == "credit"), None) == line


@pytest.mark.parametrize(("credit", "shown"), [(0.0, False), (1520.5, True)])
def test_an_account_shows_what_it_was_granted(credit: float, shown: bool) -> None:
    lines = account_lines(Account(account="lab", credit=credit), "http://here", 80)
    assert any("1,520.5" in line for line in lines) is shown
