"""Every sentence of BOINC's published text, every rule of its contract, and the test or departure that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import boinc_contract
import boinc_sentences
import pytest
from founding import exists, named, read, whole

FILES: Final = {
    **{
        name: f"tests/acceptance/test_boinc_{name}.py"
        for name in ("accounts", "batches", "clients", "files", "hostile", "outputs")
    },
    "documents": "tests/dialects/boinc/test_boinc_documents.py",
    "recorded": "tests/dialects/boinc/test_boinc_exchanges.py",
    "states": "tests/dialects/boinc/test_boinc_states.py",
    "exchange": "tests/dialects/boinc/exchanges",
    "serving": "tests/server/test_serving.py",
    "docs": "docs/dialects/boinc.md",
}
SENTENCES: Final = read(boinc_sentences.TABLE)
RULES: Final = read(boinc_contract.TABLE)


def test_every_sentence_of_the_founding_text_is_in_the_table_and_in_its_order() -> None:
    whole((Path(__file__).parent / "boinc.txt").read_text(), SENTENCES)


def test_every_section_of_the_contract_has_rules() -> None:
    assert {int(rule.partition(" ")[0].partition(".")[0]) for rule, _ in RULES} == set(range(1, 16))


@pytest.mark.parametrize("answer", named([*SENTENCES, *RULES]))
def test_what_answers_exists(answer: str) -> None:
    exists(answer, FILES)
