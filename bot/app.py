"""The composition root: makes every part by plain constructor calls, and starts, drains and closes them in order.

An `App` is made without touching the network or the database; `start` opens it; `run` serves until a signal. Knows
everything, decides nothing.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Self

import structlog

from bot import VERSION
from bot.http import fal_webhook
from bot.http.health import Health
from bot.http.server import HttpServer
from bot.observability.gauges import Gauges
from bot.observability.metrics import PrometheusMetrics
from bot.observability.operator_alerts import AlertSender
from bot.observability.tracing import StageSpans
from bot.providers import (
    budget_maintenance,
    disk_problem,
    image_limits,
    job_files,
    ledger_settings,
    make_other_providers,
    make_upscaler,
    pipeline_settings,
    provider_problem,
    result_file,
)
from bot.settings import Settings, secret
from bot.supervisor import close_all, supervise
from core.accounts.allowlist import AllowList, AllowSettings
from core.accounts.service import Accounts
from core.budgets.prices import PriceBook
from core.budgets.service import Budgets
from core.engine.cluster import make_roster, new_name, watch
from core.engine.engine import Engine
from core.engine.replicas import Replicas
from core.engine.work import Work
from core.images.renditions import JobMedia
from core.images.service import ImageService
from core.jobs.event_bus import EventBus
from core.jobs.maintenance import Maintenance, MaintenanceTask, repeat_all
from core.jobs.null_adapter import NullAdapter
from core.jobs.progress import FinishTimes
from core.jobs.service import JobService
from core.jobs.steps import JobContext, Pipeline
from core.net.client_address import TrustedProxies
from core.net.fetch import SourceFetcher, SourceLimits
from core.net.host_check import HostCheck
from core.net.signed_links import FileLinks
from core.net.token_gate import TokenGate
from core.ports import AdapterContext, ChatAdapter, Clock, NotUsable, RepliesOnly, SystemClock
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.files.private_folder import make_private
from core.storage.jobs import SqlJobStore
from core.storage.ledger import SqlLedger
from core.storage.migrate import migrate
from core.storage.obligations import SqlObligations
from core.storage.state import SqlAppState, adopt_key

_DAY_S = 86_400
_MIN_DRAIN_S = 1.5
"""So long requests are still answered, with the advice to try again."""
_OLD_ENGINE = "jobs.db"

log = structlog.get_logger(__name__)


class App:
    """The whole bot, or the part of it that ROLE names.

    `serve` False: a command, for which no platform connects and no port opens. `takes_over`: it also resumes the jobs
    of dead processes.
    """

    def __init__(
        self, settings: Settings, *, serve: bool = True, takes_over: bool = False, clock: Clock | None = None
    ) -> None:
        make_private(settings.data_dir)
        self.settings = settings
        self.serve = serve
        self.runs_jobs = not serve or settings.role != "chat"
        self.takes_requests = serve and settings.role != "worker"
        self.takes_over = takes_over or (serve and self.runs_jobs)
        self.name = new_name()
        self.clock: Clock = clock or SystemClock()
        self.stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._refused = ""
        self.on_ready: Callable[[str], None] = lambda _: None
        self._make_storage()
        self._make_core()
        self._make_adapters()

    def _make_storage(self) -> None:
        s = self.settings
        self.database = Database.connect(s.database)
        keys, shared = (secret(s.secret_key), secret(s.secret_key_old)), not self.database.is_sqlite
        self.vault = Vault.open(keys[0], s.data_dir, old=keys[1], shared=shared)
        self.store = SqlJobStore(self.database, self.vault, self.clock)
        self.state = SqlAppState(self.database, self.vault, self.clock)
        self.ledger = SqlLedger(self.database, self.clock, ledger_settings(s))
        self.replicas = Replicas(self.database, s.role if self.serve else "command")
        self.work = Work(self.database, self.clock)
        places = (s.database, s.data_dir / "replicas", self.replicas, self.work.arrived)
        self.roster = make_roster(self.database, *places)

    def _make_core(self) -> None:
        s = self.settings
        collector = s.otel_exporter_otlp_endpoint
        self.metrics = PrometheusMetrics(VERSION, StageSpans(collector, VERSION) if collector else None, s.role)
        self.alerts = AlertSender(self.state, lambda: self.budget, lambda: self.ctx)
        self.images = ImageService(image_limits(s), scratch=s.data_dir / "scratch", no_worker=self.alerts.no_worker)
        self.upscaler = make_upscaler(s, self.images, self.clock, self.metrics, self.alerts.halted)
        self.links = FileLinks(self.vault.signing_key, s.public_url, s.retention_days * _DAY_S, self.clock)
        self.prices = PriceBook(
            self.upscaler, self.state, self.clock,
            configured_nanousd=s.unit_price_nanousd, alerts=self.alerts, models=s.offered,
        )  # fmt: skip
        self.adapters: dict[str, ChatAdapter] = {"cli": NullAdapter("cli", shape="page")}
        allow = AllowSettings(s.allowed_workspaces, s.allowed_users, s.allow_outsiders, open_to_all=s.backend != "fal")
        self.allowlist = AllowList(allow, self.state, self.clock, self.alerts, self.adapters)
        self.budget = Budgets(self.ledger, self.prices, allowlist=self.allowlist)
        self.ctx = JobContext(
            store=self.store,
            obligations=SqlObligations(self.database, self.vault, self.clock),
            ledger=self.ledger,
            upscaler=self.upscaler,
            images=self.images,
            sources=SourceFetcher(SourceLimits(max_bytes=s.max_input_bytes), trusted_hosts=s.trusted_file_hosts),
            files=job_files(s),
            event_bus=EventBus(self.clock),
            prices=self.prices,
            finish_times=FinishTimes(self.state, self.upscaler.name),
            clock=self.clock,
            adapters=self.adapters,
            fallback_adapter=NullAdapter(),
            links=self.links,
            settings=pipeline_settings(s),
            models=s.offered,
            other_providers=make_other_providers(s, self.images, self.clock),
            metrics=self.metrics,
            operator=self.alerts,
            lease=self.roster,
        )
        self.pipeline = Pipeline(self.ctx)
        engine = Engine(self.pipeline, self.work)
        self.members = Accounts(self.ctx, self.state, self.budget)
        parts = (self.ctx, engine if self.runs_jobs else self.work, self.members, self.budget)
        self.service = JobService(*parts, allow_unsafe=s.allow_unsafe, allowlist=self.allowlist)
        self._make_maintenance(engine)

    def _make_maintenance(self, engine: Engine) -> None:
        self.engine = engine
        self.process_tasks = (  # run in every serving process, whatever its role
            *Gauges(self.ctx, self.settings.data_dir, self.replicas).maintenance_tasks(),
            MaintenanceTask("connections", 60, self.database.close_idle),
        )
        self.maintenance = Maintenance(
            self.pipeline, engine, self.members, retention_s=self.settings.retention_days * _DAY_S,
            work=self.work, extra=budget_maintenance(self.budget, self.ctx, self.state, self.settings),
        )  # fmt: skip

    def _make_adapters(self) -> None:
        s = self.settings
        gate = TokenGate(secret(s.web_token), self.clock, TrustedProxies.of(s.trusted_proxies))
        context = AdapterContext(
            service=self.service,
            media=JobMedia(self.ctx),
            state=self.state,
            clock=self.clock,
            data_dir=s.data_dir,
            public_url=s.public_url,
            version=VERSION,
            trusted_file_hosts=s.trusted_file_hosts,
            token_gate=gate,
            allowlist=self.allowlist,
            operator=self.alerts,
        )
        for platform in s.platforms:
            if platform.settings.enabled:
                self.adapters[platform.name] = platform.package.create(platform.settings, context)
        self.health = Health(self.clock)
        self.health.add("database", self.database.ping)
        self.health.add("disk", partial(disk_problem, s))
        self.health.add("provider", lambda: provider_problem(self.upscaler))
        for adapter in self.adapters.values():
            self.health.add(adapter.name, adapter.problem)
        self.http = HttpServer(
            host=s.web_host,
            port=s.web_port,
            health=self.health,
            metrics=self.metrics,
            version=VERSION,
            role=s.role,
            routes=[one for adapter in self.adapters.values() if self.takes_requests for one in adapter.routes()],
            incident=self.service.incidents.incident,
            links=self.links,
            find_file=lambda job_id, name: result_file(self.store, JobMedia(self.ctx), job_id, name),
            webhook=partial(fal_webhook.receive, self.upscaler, self.store),
            gate=gate,
            hosts=HostCheck(s.web_host, s.public_url),
        )

    async def start(self) -> None:
        """Open everything: the database first, connections to the outside last."""
        for number in _ends() if self.serve else ():  # a signal during the start ends it in order
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        await migrate(self.database)
        await adopt_key(self.database, self.vault)
        await asyncio.gather(*(provider.start() for provider in (self.upscaler, *self.ctx.other_providers.values())))
        await self.ctx.finish_times.load()
        await self.roster.sign_in(self.name)
        if self.takes_over:
            await self.roster.take_dead(self.maintenance.take_over)
            self._forget_old_engine()
        if not self.serve:
            return
        self.start_task(watch(self.roster, self.maintenance.take_over if self.takes_over else None), "roster")
        tasks = (*self.process_tasks, *(self.maintenance.maintenance_tasks if self.runs_jobs else ()))
        self.start_task(repeat_all(tasks), "maintenance")
        await self.http.start()
        for adapter in self.adapters.values():
            serve = adapter.serve
            if not self.takes_requests and isinstance(adapter, RepliesOnly):
                serve = adapter.serve_replies
            told = (self._refuse, lambda name: self.on_ready(name))
            self.start_task(supervise(adapter.name, serve, self.stopping, *told), adapter.name)

    def _forget_old_engine(self) -> None:
        """Delete the SQLite file of the job engine of older releases; everything needed is in the jobs' rows."""
        if Path(self.database.engine.url.database or "").name != _OLD_ENGINE:
            for end in ("", "-wal", "-shm"):
                (self.settings.data_dir / f"{_OLD_ENGINE}{end}").unlink(missing_ok=True)

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task until the app closes."""
        self._tasks.append(asyncio.create_task(work, name=name))

    async def run(self) -> int:
        """Serve until one of `_ends`, then drain; returns the exit code. Raises NotUsable if a platform refuses."""
        await self.stopping.wait()
        await self.drain()
        if self._refused:
            raise NotUsable(self._refused)
        return 0

    def _refuse(self, sentence: str) -> None:
        self._refused = sentence
        self.stopping.set()

    async def drain(self) -> None:
        """Answer new requests with "restarting" and let short steps end, within SHUTDOWN_GRACE_S."""
        log.info("draining", jobs=len(self.pipeline.jobs_here))
        self.stopping.set()
        self.service.drain()
        self.health.draining = True
        most_s = max(0.0, self.settings.shutdown_grace_s - 8)
        await asyncio.gather(self.pipeline.settle_down(most_s), asyncio.sleep(min(_MIN_DRAIN_S, most_s)))

    async def close(self) -> None:
        """Close everything, even if a part fails. Unfinished jobs are left to other processes."""
        self.service.drain()
        # Jobs need the adapters for their replies; an adapter with a connection of its own has a `close`.
        both = (*self.adapters.values(), *self.ctx.other_providers.values())
        own = [close for part in both if (close := getattr(part, "close", None)) is not None]
        first = (self._end_tasks, self.http.stop, self.pipeline.hand_over, self.engine.close, self.alerts.close, *own)
        rest = (self.roster.sign_out, self.upscaler.close, self.images.close, self.ledger.close, self.database.close)
        await close_all(*first, *rest, self.metrics.close)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _ends() -> tuple[signal.Signals, ...]:
    """SIGHUP too, which a closed terminal sends, unless `nohup` has it ignored."""
    hung_up = (signal.SIGHUP,) if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else ()
    return (signal.SIGTERM, signal.SIGINT, *hung_up)
