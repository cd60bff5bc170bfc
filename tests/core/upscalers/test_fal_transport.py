"""The transport: where the key may be sent, the backup domain, metrics, and use of the SDK."""

import ast
import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

import core.upscalers.fal
from core.domain.errors import ProviderUnavailable
from core.ports import SystemClock
from core.upscalers.fal import FalConfig, FalUpscaler
from core.upscalers.fal.config import backup_of
from core.upscalers.fal.transport import NETWORK_ERRORS, Transport
from tests.core.upscalers.fal_kit import Rig, backend, completed, config_for, inputs, no_op, statuses
from tests.emulators.fal import FalEmulator, nginx
from tests.fakes.clock import JumpingClock
from tests.fakes.core import NoMetrics

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def fal() -> AsyncIterator[FalEmulator]:
    async with FalEmulator(job_s=0.01, single_port=0) as emulator:
        yield emulator


def test_only_the_queue_and_the_two_services_may_see_the_key() -> None:
    transport = Transport(FalConfig(key="id:secret"), SystemClock())
    for good in (
        "https://queue.fal.run/x",
        "https://queue.falrun.com/x",
        "https://rest.fal.ai/",
        "https://api.fal.ai/v1",
    ):
        assert transport.authorised(URL(good), "api") == {"Authorization": "Key id:secret"}
    for bad in (
        "https://v3.fal.media/x",
        "http://queue.fal.run/x",
        "https://evil.example",
        "https://queue.fal.run:8443/",
    ):
        with pytest.raises(RuntimeError):
            transport.authorised(URL(bad), "api")


def test_the_admin_key_is_never_replaced_by_the_other() -> None:
    with pytest.raises(RuntimeError):
        Transport(FalConfig(key="id:secret"), SystemClock()).authorised(URL("https://api.fal.ai/v1"), "admin")


def test_only_fals_own_queue_has_a_backup() -> None:
    assert backup_of(URL("https://queue.fal.run/a?b=c")) == URL("https://queue.falrun.com/a?b=c")
    assert backup_of(URL("http://127.0.0.1:1/a")) is None
    assert backup_of(URL("https://rest.fal.ai/a")) is None


def test_no_key_is_shown_by_a_config() -> None:
    assert "secret" not in repr(FalConfig(key="id:secret", admin_key="id:secret2"))


async def test_when_no_connection_comes_about_the_backup_gets_the_one_post(
    fal: FalEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backup(url: URL) -> URL | None:
        return URL(fal.queue_url).join(url.relative()) if url.port == 9 else None

    monkeypatch.setattr("core.upscalers.fal.submit.backup_of", backup)
    monkeypatch.setattr("core.upscalers.fal.transport.backup_of", backup)
    announced: list[int] = []

    async def announce() -> None:
        announced.append(1)

    async with backend(fal, queue_url=NOWHERE) as upscaler:
        request_id = await upscaler.submit(inputs(NOWHERE + "/x"), job_id="0123456789ab", on_sending=announce)
        await statuses(upscaler, request_id)
    assert announced == [1]
    assert len(fal.submits) == 1


async def test_a_read_gives_up_after_few_attempts(fal: FalEmulator) -> None:
    clock = JumpingClock()
    async with backend(fal, clock, queue_url=NOWHERE) as upscaler:
        with pytest.raises(ProviderUnavailable):
            await upscaler.cancel("some-request")
    assert len(clock.slept) == 3


async def test_every_request_is_counted_by_call_and_outcome(fal: FalEmulator, tmp_path: Path) -> None:
    counted: list[tuple[str, str]] = []

    class Counter(NoMetrics):
        def provider_request(self, call: str, outcome: str) -> None:
            counted.append((call, outcome))

    upscaler = FalUpscaler(config_for(fal), JumpingClock(), metrics=Counter())
    await upscaler.start()
    fal.faults.add("result", nginx(503))
    request_id = await completed(upscaler, tmp_path)
    result = await upscaler.result(request_id)
    await upscaler.fetch(result.image_url, tmp_path / "out", max_bytes=10**8)
    await upscaler.unit_price()
    await upscaler.close()
    assert counted == [
        ("token", "ok"),
        ("upload", "ok"),
        ("submit", "ok"),
        ("stream", "ok"),
        ("result", "http_503"),
        ("result", "ok"),
        ("download", "ok"),
        ("price", "ok"),
    ]


async def test_no_key_link_or_caption_is_logged_whatever_goes_wrong(
    rig: Rig, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for route in ("token", "upload", "stream", "status", "result"):
        rig.fal.faults.add(route, nginx(503), times=2)
    rig.fal.faults.add("download", nginx(503), times=2, skip=1)  # the first one is the model fetching its input
    request_id = await rig.completed()
    result = await rig.upscaler.result(request_id)
    await rig.upscaler.fetch(result.image_url, rig.folder / "out", max_bytes=10**8)
    shown = "".join(capsys.readouterr()) + caplog.text
    assert "fal_call_put_off" in shown
    for secret in ("emulated-secret", "http://", "/files/", result.caption, str(rig.fal.jobs[request_id].model_input)):
        assert secret not in shown


async def test_a_closed_backend_refuses_calls_and_closes_twice(upscaler: FalUpscaler) -> None:
    await upscaler.close()
    with pytest.raises(RuntimeError):
        await upscaler.submit(inputs("x"), job_id="0123456789ab", on_sending=no_op)


async def test_a_backend_that_was_never_opened_closes_without_a_word(fal: FalEmulator) -> None:
    await FalUpscaler(config_for(fal), JumpingClock()).close()  # the start failed before it


def test_every_exception_that_aiohttps_client_has_is_expected() -> None:
    ours = {"WSMessageTypeError"}  # websockets are not used
    for name, kind in inspect.getmembers(aiohttp.client_exceptions, inspect.isclass):
        if issubclass(kind, Exception) and kind.__module__ == "aiohttp.client_exceptions" and name not in ours:
            assert issubclass(kind, NETWORK_ERRORS), name


def test_of_fals_client_only_parts_that_make_no_call_are_used() -> None:
    used: set[str] = set()
    folder = Path(core.upscalers.fal.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fal_client"):
                used |= {alias.name for alias in node.names}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fal_client":
                used.add(node.attr)
    assert used == {"StorageSettings", "__version__"}
