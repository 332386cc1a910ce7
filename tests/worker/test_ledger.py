import pytest

from worker.device import Device
from worker.errors import ObjectMissing
from worker.events import Events
from worker.ledger import Ledger, Meter, cost_of, requests_of
from worker.settings import Prices
from worker.storage.local import LocalStore

CPU, GPU = Device("cpu", "CPU", 1), Device("cuda:0", "a GPU", 1)


def test_meter__counts_from_its_making_on(tmp_path: object) -> None:
    store = LocalStore(tmp_path, may_be_absent=True)  # type: ignore[arg-type]
    store.put("before", b"12345", media_type="text/plain")
    meter = Meter(store, store, device=GPU)
    store.put("a", b"123", media_type="text/plain")
    store.get("a")
    spent = meter.spent()
    assert requests_of(spent) == {"GET": 1, "PUT": 1}
    assert (spent["bytes_written"], spent["bytes_read"]) == (3, 3)
    assert "cpu_worker_s" not in spent


def test_ledger__adds_up_and_keeps_what_a_failed_stage_took(tmp_path: object) -> None:
    store = LocalStore(tmp_path, may_be_absent=True)  # type: ignore[arg-type]
    ledger = Ledger()
    with ledger.stage("plan", Events(), store, device=CPU):
        store.put("a", b"1", media_type="text/plain")
    with pytest.raises(ObjectMissing), ledger.stage("embed", Events(), store, device=CPU):
        store.get("b")
    ledger.add("embed", {"requests.GET": 2, "gpu_worker_s": 1.5})
    told = ledger.to_json(Prices())
    assert told["stages"]["embed"]["requests"] == {"GET": 3}
    assert told["total"]["requests"] == {"GET": 3, "PUT": 1}
    assert told["total"]["gpu_worker_s"] == 1.5
    assert "cost" not in told


def test_cost_of__reads_writes_bytes_and_worker_hours() -> None:
    spent = {
        "requests.GET": 900_000.0,
        "requests.HEAD": 100_000.0,
        "requests.PUT": 400_000.0,
        "requests.LIST": 100_000.0,
        "requests.DELETE": 7.0,
        "bytes_read": 2e9,
        "gpu_worker_s": 1800.0,
        "cpu_worker_s": 3600.0,
    }
    prices = Prices(
        currency="EUR",
        get_per_million=0.4,
        put_per_million=5,
        read_per_gb=0.09,
        gpu_per_hour=2,
        cpu_per_hour=0.1,
    )
    assert cost_of(spent, prices) == {
        "currency": "EUR",
        "requests": 2.9,
        "bytes": 0.18,
        "workers": 1.1,
        "total": 4.18,
    }
    assert cost_of(spent, Prices()) == {}
