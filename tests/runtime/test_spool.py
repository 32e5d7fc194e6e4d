"""The spool: order, bounds, crashes, damage and full disks."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from offramp.errors import ConfigError
from offramp.runtime.spool import Spool, read_spool
from offramp.runtime.spool_segment import HEADER_BYTES, frame, read_records

PAYLOADS = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def drain(spool: Spool) -> list[bytes]:
    found = []
    while (head := spool.head()) is not None:
        found.append(head[1])
        spool.remove(head[0])
    return found


@given(payloads=PAYLOADS, cut=st.integers(0, 400))
def test_a_torn_tail_costs_the_torn_record_alone(payloads: list[bytes], cut: int) -> None:
    records = [frame(payload) for payload in payloads]
    content = b"".join(records)[:cut]
    whole = 0
    while whole < len(records) and sum(map(len, records[: whole + 1])) <= cut:
        whole += 1
    assert [payload for _, payload in read_records(content)] == payloads[:whole]


@given(payloads=PAYLOADS, data=st.data())
def test_damage_costs_the_damaged_record_alone(payloads: list[bytes], data: st.DataObject) -> None:
    content = bytearray(b"".join(map(frame, payloads)))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    ends, offset = [], 0
    for payload in payloads:
        offset += HEADER_BYTES + len(payload)
        ends.append(offset)
    damaged = next(index for index, end in enumerate(ends) if at < end)
    found = [payload for _, payload in read_records(bytes(content))]
    assert found == payloads[:damaged] + payloads[damaged + 1 :]


class SpoolMachine(RuleBasedStateMachine):
    """Records come, go, and the process starts again or is killed: what was not delivered is there, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.holder = TemporaryDirectory()
        self.folder = Path(self.holder.name) / "spool"
        self.waiting: list[bytes] = []
        self.number = 0
        self.spool = self.open()

    def open(self) -> Spool:
        return Spool(self.folder, segment_bytes=100)

    def teardown(self) -> None:
        self.spool.close()
        self.holder.cleanup()

    @rule(size=st.integers(0, 120))
    def append(self, size: int) -> None:
        payload = self.number.to_bytes(4, "big") + b"." * size
        self.number += 1
        assert self.spool.append(payload)
        self.waiting.append(payload)

    @precondition(lambda self: self.waiting)
    @rule()
    def deliver(self) -> None:
        head = self.spool.head()
        assert head is not None
        assert head[1] == self.waiting.pop(0)
        self.spool.remove(head[0])

    @rule()
    def start_again(self) -> None:
        self.spool.close()
        self.spool = self.open()
        assert len(self.spool) == len(self.waiting)

    @rule(torn=st.binary(min_size=1, max_size=60))
    def be_killed(self, torn: bytes) -> None:
        """The files as they are, the newest with half a record more; nothing is closed in order."""
        other = self.folder.with_name("after")
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(self.folder, other)
        files = sorted(other.glob("*.spool"))
        if files:
            with files[-1].open("ab") as file:
                file.write(frame(torn)[:-1])
        assert list(read_spool(other)) == self.waiting
        with Spool(other, segment_bytes=100) as spool:
            assert spool.append(b"after the crash")
            assert drain(spool) == [*self.waiting, b"after the crash"]

    @rule()
    def nothing_is_left_behind(self) -> None:
        assert len(self.spool) == len(self.waiting)
        files = list(self.folder.glob("*.spool"))
        assert self.spool.bytes == sum(file.stat().st_size for file in files)
        if not self.waiting:
            assert not files


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_the_bound_holds_and_old_records_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Spool(tmp_path, max_bytes=200, segment_bytes=64) as spool:
        kept = [spool.append(bytes([index]) * 20) for index in range(20)]
        assert kept == [True] * 6 + [False] * 14
        assert spool.bytes <= 200
        assert (spool.stored, spool.lost, len(spool)) == (6, 14, 6)
        assert len(caplog.records) == 1
        assert "are lost from now on" in caplog.records[0].getMessage()
        assert drain(spool) == [bytes([index]) * 20 for index in range(6)]
        assert spool.append(b"again")
        assert spool.counts() == {"spool.stored": 7, "spool.lost": 14, "spool.delivered": 6, "spool.waiting": 1}


def test_a_full_disk_loses_new_records_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a record is written before the disk says that it is full."""
    room = [1 << 20]
    write = os.write

    def full(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = write(file, data[: room[0]])
        room[0] -= part
        return part

    monkeypatch.setattr(os, "write", full)
    with Spool(tmp_path, segment_bytes=1 << 16) as spool, caplog.at_level(logging.WARNING):
        assert spool.append(b"one")
        room[0] = 7
        assert not spool.append(b"two")
        assert not spool.append(b"three")
        assert [record.getMessage().count("No space left") for record in caplog.records] == [1]
        room[0] = 1 << 20
        assert spool.append(b"four")
        room[0] = 0
        assert not spool.append(b"five")
        assert len(caplog.records) == 2
        assert (spool.stored, spool.lost) == (2, 3)
    assert list(read_spool(tmp_path)) == [b"one", b"four"]


def test_what_cannot_be_taken_back_is_left_to_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def fails(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def half(file: int, data: bytes) -> int:
        write(file, data[: len(data) // 2])
        return fails()

    with Spool(tmp_path) as spool:
        assert spool.append(b"one")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            patch.setattr(os, "ftruncate", fails)
            assert not spool.append(b"two")
        assert spool.append(b"three")
        assert len(list(tmp_path.glob("*.spool"))) == 2
    assert list(read_spool(tmp_path)) == [b"one", b"three"]


def test_damage_found_while_delivering_is_passed_over(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for payload in (b"one", b"two", b"three"):
            spool.append(payload)
        file = next(tmp_path.glob("*.spool"))
        content = bytearray(file.read_bytes())
        content[HEADER_BYTES] ^= 1
        file.write_bytes(bytes(content))
        assert drain(spool) == [b"two", b"three"]
        assert spool.lost == 1


def test_without_its_cursor_all_is_delivered_again(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(b"one")
        spool.append(b"two")
        head = spool.head()
        assert head is not None
        spool.remove(head[0])
        spool.remove(head[0])  # told twice
        assert len(spool) == 1
    (tmp_path / "delivered").write_text("nonsense")
    assert list(read_spool(tmp_path)) == [b"one", b"two"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        with pytest.raises(ConfigError, match="another process spools here"):
            Spool(tmp_path)
        spool.close()
    Spool(tmp_path, sync=True).close()


def test_bad_settings_are_named(tmp_path: Path) -> None:
    with Spool(tmp_path / "made") as spool:
        assert spool.append(b"private")
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "made", *(tmp_path / "made").glob("*.spool"))} == {0}
    with pytest.raises(ConfigError, match="a spool needs room"):
        Spool(tmp_path, max_bytes=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot spool here"):
        Spool(tmp_path / "file")
    with pytest.raises(ConfigError, match="no such spool"):
        list(read_spool(tmp_path / "none"))
