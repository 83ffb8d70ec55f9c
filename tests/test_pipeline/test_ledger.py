"""The ledger: what was noted is what is read, block by block."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from pipeline import ledger as module
from pipeline.contents import scan_contents
from pipeline.ledger import Ledger, ShardReport
from pipeline.store import create
from schemas import parse_spec
from schemas.layout import FORMAT_VERSION, ShardStatus


def new_store(shards):
    store = MemoryStore()
    axes = {"a": {"start": 0, "stop": 1, "num": shards}}
    spec = parse_spec({"task": "none", "axes": axes, "chunks": {"a": 1}})
    create(store, scan_contents(spec, {}), {"cartograd_format": FORMAT_VERSION})
    return store


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "LEDGER_CHUNK", 4)


reports = st.builds(
    ShardReport,
    shard=st.integers(0, 10),
    status=st.sampled_from([ShardStatus.DONE, ShardStatus.FAILED, ShardStatus.DAMAGED]),
    attempts=st.integers(1, 9),
    seconds=st.integers(0, 100).map(float),
    checksum=st.integers(0, 2**32 - 1),
    worker=st.integers(-1, 50),
    error=st.text("abcäß ", max_size=20),
)


@settings(deadline=None, max_examples=30)
@given(noted=st.lists(st.tuples(reports, st.booleans()), max_size=25))
def test_what_was_noted_is_read_by_the_next(noted):
    store = new_store(11)
    first = Ledger(store)
    expected = {}
    for report, flush in noted:
        first.record(report)
        expected[report.shard] = report
        if flush:
            first.flush()
    for ledger in (first, None):
        if ledger is None:
            first.flush()
            ledger = Ledger(store, writable=False)
        done = sorted(s for s, r in expected.items() if r.status is ShardStatus.DONE)
        failed = sorted(s for s, r in expected.items() if r.status is ShardStatus.FAILED)
        assert list(ledger.shards(ShardStatus.DONE)) == done
        assert [r.shard for r in ledger.reports(ShardStatus.FAILED)] == failed
        assert list(ledger.unfinished()) == sorted(set(range(11)) - set(done))
        counts = ledger.counts()
        assert (counts.done, counts.failed) == (len(done), len(failed))
        assert counts.done + counts.failed + counts.pending == 11
        for report in ledger.reports(ShardStatus.DONE):
            assert report == expected[report.shard]


def test_complete_blocks_are_let_go():
    ledger = Ledger(new_store(11))
    for shard in range(11):
        ledger.record(ShardReport(shard, ShardStatus.DONE, 1))
        ledger.flush()
        assert len(ledger._held) <= 1
    assert not ledger._held
