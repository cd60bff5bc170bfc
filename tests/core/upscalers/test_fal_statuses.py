"""Status objects and log lines: percentages, and never an exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ports import RemoteCompleted, RemoteQueued, RemoteRunning
from core.upscalers.fal.json_answer import EventLines, percent_in, percent_of, status_from


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        (" 40%|████      | 8/20 [00:10<00:15,  1.25s/it]", 40.0),
        ("100%|██████████| 20/20 [00:25<00:00,  1.25s/it]", 100.0),
        ("12/20", 60.0),
        ("step 12 of 20", 60.0),
        ("Step 3/4 done", 75.0),
        ("tile 1/8", 12.5),
        ("progress: 55.5%", 55.0),
        ("  0%|          | 0/20 [00:00<?, ?it/s]", 0.0),
        ("Loading pipeline components...: 100%|██████████| 7/7", None),
        ("Downloading weights 45%", None),
        ("resized to 1024/768", None),
        ("finished on 2026/11/22", None),
        ("140% of the usual time", None),
        ("21/20 steps", None),
        ("no progress here", None),
        ("", None),
    ],
)
def test_the_percentage_of_a_log_line_is_read(line: str, percent: float | None) -> None:
    assert percent_in(line) == percent


@given(st.text(max_size=300))
def test_any_text_is_a_percentage_or_none(line: str) -> None:
    percent = percent_in(line)
    assert percent is None or 0 <= percent <= 100


@given(st.integers(0, 999), st.integers(1, 999))
def test_any_share_of_steps_is_read(done: int, total: int) -> None:
    percent = percent_in(f"step {done} of {total}")
    assert percent == (100 * done / total if done <= total else None)


@given(st.integers(0, 100))
def test_any_tqdm_bar_is_read(percent: int) -> None:
    assert percent_in(f"{percent:3d}%|{'█' * (percent // 10):<10}| {percent}/100 [00:01<00:09, 9it/s]") == percent


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_data_is_a_status_or_none(data: object) -> None:
    assert status_from(data) is None
    assert percent_of([data, {"message": data}]) is None or isinstance(percent_of([data, {"message": data}]), float)


def test_the_newest_line_with_a_percentage_counts() -> None:
    logs = [
        {"message": "10%|█"},
        {"message": "30%|███\r 50%|█████"},
        {"message": "still here"},
        "odd",
        {"message": None},
    ]
    assert percent_of(logs) == 50.0


def test_the_three_documented_states_are_read() -> None:
    assert status_from({"status": "IN_QUEUE", "queue_position": 2}) == RemoteQueued(2)
    assert status_from({"status": "IN_QUEUE", "queue_position": "2"}) == RemoteQueued(None)
    assert status_from({"status": "IN_PROGRESS", "logs": None}) == RemoteRunning(None)
    assert status_from({"status": "COMPLETED", "error": "x"}) == RemoteCompleted()


@pytest.mark.parametrize("word", ["FAILED", "ERROR", "CANCELLED", "CANCELED", "completed"])
def test_an_undocumented_final_status_ends_the_wait(word: str) -> None:
    assert status_from({"status": word}) == RemoteCompleted()


@given(st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_however_a_stream_is_cut_into_chunks_the_same_statuses_come_out(cuts: list[int], crlf: bool) -> None:
    end = b"\r\n" if crlf else b"\n"
    events = [{"status": "IN_QUEUE", "queue_position": n} for n in range(3)] + [{"status": "COMPLETED"}]
    whole = b": ping" + end + end + b"".join(b"data: " + json.dumps(e).encode() + end + end for e in events)
    lines, found, start = EventLines(), [], 0
    for cut in [*cuts, len(whole)]:
        found += list(lines.feed(whole[start : start + cut]))
        start += cut
    assert found == [RemoteQueued(0), RemoteQueued(1), RemoteQueued(2), RemoteCompleted()]


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    list(EventLines().feed(data + b"\n"))


def test_an_endless_line_is_dropped_and_the_next_one_read() -> None:
    lines = EventLines()
    for _ in range(6):
        assert list(lines.feed(b"x" * 1024**2)) == []
    assert list(lines.feed(b'\ndata: {"status":"COMPLETED"}\n')) == [RemoteCompleted()]
