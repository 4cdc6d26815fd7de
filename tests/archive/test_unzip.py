"""Zips with one member: whatever packed it, what comes out is what went in, or one sentence why not."""

import contextlib
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadx_duck.archive.unzip import BLOCK, open_zip
from threadx_duck.errors import BadResponseError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED, extra: bytes = b"", level: int | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        member = zipfile.ZipInfo("a.csv")
        member.extra = extra
        file.writestr(member, content, method, level)
    return buffer.getvalue()


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=20_000), repeats=st.sampled_from([1, 2, 60]), method=st.sampled_from(METHODS))
def test_what_went_in_comes_out(content: bytes, repeats: int, method: int) -> None:
    with open_zip(zipped(content * repeats, method), "x")() as file:
        assert file.read() == content * repeats


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5_000_000])
@pytest.mark.parametrize("row", [b"\0", b"1735689600000000,1,1,1,1,1,1735689659999999,1,1,1,1,0\n"])
def test_content_larger_than_a_block_comes_out_whole(row: bytes, size: int, level: int) -> None:
    content = (row * (size // len(row) + 1))[:size]
    with open_zip(zipped(content, level=level), "x")() as file:
        assert file.read() == content


def test_extra_field_is_stepped_over() -> None:
    with open_zip(zipped(b"1,2,3\n", extra=b"\x99\x99\x02\x00ab"), "x")() as file:
        assert file.read() == b"1,2,3\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("repeats", [1, 200])
def test_no_damaged_byte_changes_what_is_read(method: int, repeats: int) -> None:
    content = bytes(range(256)) * repeats
    whole = zipped(content, method)
    packed = whole.index(b"a.csv") + len("a.csv")
    end = whole.index(b"PK\x01\x02")
    noticed = 0
    for position in range(packed, end, max(1, (end - packed) // 30)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        with contextlib.suppress(BadResponseError), open_zip(bytes(damaged), "x")() as file:
            assert file.read() == content
            continue
        noticed += 1
    assert noticed > 20


def test_member_that_ends_too_early_is_no_zip() -> None:
    whole = bytearray(zipped(b"1,2,3\n" * 1000))
    directory = whole.index(b"PK\x01\x02")
    whole[directory + 20] -= 5  # how many packed bytes the directory claims
    with pytest.raises(BadResponseError, match="x is not a readable zip"), open_zip(bytes(whole), "x")() as file:
        file.read()


def test_encrypted_member_is_no_readable_zip() -> None:
    whole = bytearray(zipped(b"1,2,3\n"))
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadResponseError, match=r"x is not a readable zip: .*encrypted"):
        open_zip(bytes(whole), "x")()
