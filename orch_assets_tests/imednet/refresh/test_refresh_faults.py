"""Whatever fault an answer has, a refresh gives the right table or an error."""

from typing import get_args

import pytest

from orch_assets.demo import Fault
from orch_assets.demo.faults import FaultKind, QueryFaultKind
from orch_assets.errors import ImednetError
from orch_assets_tests.imednet.refresh.conftest import Account

KINDS = sorted({*get_args(FaultKind), *get_args(QueryFaultKind)} - {"delay"})
BOTH = ("records", "record_revisions")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_never_gives_a_wrong_table(account: Account, kind: FaultKind) -> None:
    """Once, a few times and always; for one of the two tables, and for both."""
    refresher = account.refresher()
    first = refresher.run(*BOTH)
    account.registry.live_day()
    right = 0
    for endpoint in ("records", "recordRevisions", None):
        for times in (1, 4, None):
            account.server.faults.add(Fault(kind, endpoint, times=times, hours=-2))
            try:
                again = refresher.run(*BOTH, previous=first)
            except ImednetError:
                continue
            finally:
                account.server.faults.clear()
            for name in BOTH:
                refresher.assert_whole(name, again[name])
            right += 1
    assert right >= 2  # one or four faults of one table can be got over
