"""Log files: where lines go and how they look."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from threadx_duck.config import LoggingSettings, logs
from threadx_duck.config.logs import ensure_logs, set_up_logs

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|DEBUG) threadx_duck\.\S+: .+\n")


def test_lines_go_to_the_file_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.Formatter, "converter", None)
    set_up_logs(LoggingSettings(directory=tmp_path / "logs"), console=False)
    record = logging.LogRecord("threadx_duck.ingest", logging.INFO, __file__, 1, "BTCUSDC %s", ("done",), None)
    record.created = 1_704_067_200.5
    logging.getLogger("threadx_duck.ingest").handle(record)
    written = (tmp_path / "logs" / "data_ingestion.log").read_text(encoding="utf-8")
    assert written == "2024-01-01T00:00:00Z INFO threadx_duck.ingest: BTCUSDC done\n"


def test_files_are_made_with_their_first_line(tmp_path: Path) -> None:
    set_up_logs(LoggingSettings(directory=tmp_path / "logs"), console=False)
    assert not (tmp_path / "logs").exists()
    logging.getLogger("threadx_duck.ingest").info("a line")
    assert [file.name for file in (tmp_path / "logs").iterdir()] == ["data_ingestion.log"]


def test_the_adapters_lines_go_to_its_own_file(tmp_path: Path) -> None:
    set_up_logs(LoggingSettings(directory=tmp_path), console=False)
    logging.getLogger("threadx_duck.legacy_adapter").info("fetched 币安人生USDT")
    assert LINE.fullmatch((tmp_path / "legacy_adapter.log").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("level", "expected"),
    [("DEBUG", ["debug", "info", "warning"]), ("INFO", ["info", "warning"]), ("WARNING", ["warning"]), ("ERROR", [])],
)
def test_level_says_which_lines_are_written(tmp_path: Path, level: str, expected: list[str]) -> None:
    set_up_logs(LoggingSettings(level=level, directory=tmp_path), console=False)
    logger = logging.getLogger("threadx_duck.ingest")
    for name in ("debug", "info", "warning"):
        getattr(logger, name)(name)
    file = tmp_path / "data_ingestion.log"
    assert [line.split()[-1] for line in file.read_text().splitlines()] == expected if expected else not file.exists()


def test_console_puts_lines_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(LoggingSettings(directory=tmp_path), console=True)
    logging.getLogger("threadx_duck.ingest").info("a line")
    out, err = capsys.readouterr()
    assert out == ""
    assert LINE.fullmatch(err)


def test_no_console_leaves_stderr_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(LoggingSettings(directory=tmp_path), console=False)
    logging.getLogger("threadx_duck.ingest").warning("a line")
    assert capsys.readouterr() == ("", "")


def test_setting_up_again_writes_no_line_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("first", "second"):
        set_up_logs(LoggingSettings(directory=tmp_path / folder), console=True)
    logging.getLogger("threadx_duck.ingest").info("a line")
    assert not (tmp_path / "first" / "data_ingestion.log").exists()
    assert len((tmp_path / "second" / "data_ingestion.log").read_text().splitlines()) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_file_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_BYTES_PER_FILE", 200)
    set_up_logs(LoggingSettings(directory=tmp_path), console=False)
    for number in range(30):
        logging.getLogger("threadx_duck.ingest").info("line %s", number)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["data_ingestion.log", *(f"data_ingestion.log.{number}" for number in range(1, 6))]


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    set_up_logs(LoggingSettings(directory=tmp_path / "logs"), console=False)
    logging.getLogger("threadx_duck.ingest").info("one")
    logging.getLogger("threadx_duck.ingest").info("two")
    file = tmp_path / "logs" / "data_ingestion.log"
    assert capsys.readouterr().err == f"note: Cannot write {file}: File exists. See [logging] directory.\n"


def test_ensure_logs_leaves_handlers_of_the_program_alone(tmp_path: Path) -> None:
    own = logging.NullHandler()
    logging.getLogger("threadx_duck").addHandler(own)
    ensure_logs(LoggingSettings(directory=tmp_path))
    assert logging.getLogger("threadx_duck").handlers == [own]


def test_ensure_logs_sets_them_up_where_nobody_has(tmp_path: Path) -> None:
    ensure_logs(LoggingSettings(directory=tmp_path))
    logging.getLogger("threadx_duck.ingest").info("a line")
    assert (tmp_path / "data_ingestion.log").exists()
