"""Text files of users: a scenario and a DAG file are read in whichever encoding an editor saved them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aether_load.dag.file import read_dag_file
from aether_load.errors import UsageError
from aether_load.scenario.load import load_scenario
from aether_load.text import decode_text

SCENARIO = 'purpose = "Prüfung"\r\n[[phases]]\r\npasses = 1\r\n'
DAG = json.dumps({"nodes": [{"id": "a", "node_type": "llm_fn", "prompt": "ü {{prompt}}", "dependencies": []}]})
ENCODINGS = pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])


@ENCODINGS
def test_a_scenario_is_read_in_the_encoding_of_its_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    """UTF-8 with or without a mark, UTF-16 and UTF-32 with one."""
    path = tmp_path / "mine.toml"
    path.write_bytes(SCENARIO.encode(encoding))
    assert load_scenario(path).purpose == "Prüfung"


@ENCODINGS
def test_a_dag_file_is_read_in_the_encoding_of_its_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    """As a scenario is."""
    path = tmp_path / "dag.json"
    path.write_bytes(DAG.encode(encoding))
    assert read_dag_file(str(path)).body["nodes"][0]["prompt"] == "ü {{prompt}}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a\nb\r\nc\rd\xff", "line 4: byte 0xff is not UTF-8 text; save the file as UTF-8"),
        (b"\xef\xbb\xbfa\n\xff", "line 2: byte 0xff is not UTF-8 text; save the file as UTF-8"),
        ("a\nb".encode("utf-16") + b"c", "line 2: byte 0x63 is not UTF-16 text; save the file as UTF-8"),
        (b"a\nb\0", "line 2: a null character is not text; save the file as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(content: bytes, sentence: str, tmp_path: Path) -> None:
    """The first wrong byte is named, for scenarios and DAG files alike."""
    with pytest.raises(ValueError, match="line") as raised:
        decode_text(content)
    assert str(raised.value) == sentence
    scenario, dag = tmp_path / "mine.toml", tmp_path / "dag.json"
    scenario.write_bytes(content)
    dag.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        load_scenario(scenario)
    assert str(refused.value) == f"Scenario {scenario}, {sentence}."
    with pytest.raises(UsageError) as refused:
        read_dag_file(str(dag))
    assert str(refused.value) == f"DAG file {dag}: {sentence}."
