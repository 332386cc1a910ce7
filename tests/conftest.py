"""Servers that many tests share: one of each a session, made when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.servers import FaultProxy, S3Server, moto_server, nanio_server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def nanio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with nanio_server(tmp_path_factory.mktemp("nanio")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_proxy(moto: S3Server) -> Iterator[FaultProxy]:
    """The proxy before moto, for `fault_proxy`."""
    with FaultProxy(moto.url).running() as proxy:
        yield proxy


@pytest.fixture
def fault_proxy(moto_proxy: FaultProxy) -> FaultProxy:
    """A proxy before moto that breaks nothing until it is told to."""
    moto_proxy.reset()
    return moto_proxy
