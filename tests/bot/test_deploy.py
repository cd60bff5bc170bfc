"""The deployment files: few permissions, resource limits, and no secrets in an image."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from bot.settings import Settings
from core.images.memory_estimate import HEAVY_BYTES
from core.images.service import Bounds, ImageService

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "deploy" / "upscale-bot.service").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes",
        "PrivateDevices=yes", "ProtectProc=invisible", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes", "ProtectHostname=yes", "UMask=0077",
        "RestrictSUIDSGID=yes", "RestrictNamespaces=yes", "RestrictRealtime=yes", "LockPersonality=yes", "LimitCORE=0",
        "SystemCallArchitectures=native", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "StateDirectoryMode=0700",
    ],
)  # fmt: skip
def test_the_unit_gives_the_process_few_rights(line: str) -> None:
    assert line in UNIT.splitlines()


def test_the_unit_bounds_memory_and_processes() -> None:
    assert re.search(r"(?m)^MemoryMax=\d+[MG]$", UNIT)
    assert re.search(r"(?m)^TasksMax=\d+$", UNIT)


def test_the_workers_and_the_bot_fit_into_every_limit_of_memory() -> None:
    """One large picture at its limit, the other workers with small ones, the bot, and a chart."""
    workers = inspect.signature(ImageService).parameters["workers"].default
    light_bytes, bot_bytes, chart_bytes = HEAVY_BYTES + 100_000_000, 400_000_000, 200_000_000
    need_bytes = Bounds().address_space_bytes + (workers - 1) * light_bytes + bot_bytes + chart_bytes
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["bot"]
    kubernetes = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    limits = (
        re.findall(r"(?m)^MemoryMax=(\d+)G$", UNIT)
        + re.findall(r"^(\d+)g$", compose["deploy"]["resources"]["limits"]["memory"])
        + re.findall(r"limits: \{ memory: (\d+)Gi \}", kubernetes)
    )
    assert len(limits) == 3
    assert need_bytes <= min(map(int, limits)) << 30


def test_systemd_itself_finds_little_exposure_where_it_is_installed() -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        return
    command = [tool, "security", "--offline=yes", "--no-pager", str(ROOT / "deploy" / "upscale-bot.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if found := re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout):  # systemd older than 250 has no --offline
        assert float(found[1]) < 3


def test_every_container_has_a_share_of_memory_and_processes() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert {"memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_an_image_is_built_from_the_code_alone() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = re.findall(r"(?m)^COPY (\S+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text())
    assert {f"!{name}" for name in copied} == {rule for rule in rules if rule.startswith("!")}
    assert "**/.env*" in rules


def test_kubernetes_runs_it_without_rights_and_watches_what_exists() -> None:
    files = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))
    assert [item["kind"] for item in files] == ["Deployment", "Service", "PodDisruptionBudget"]
    deployment, service, disruption = files
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"], disruption["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert pod["terminationGracePeriodSeconds"] > Settings(fal_key=None).shutdown_grace_s
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert container["imagePullPolicy"] == "IfNotPresent", "no registry has the image"
    probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness", "startup")}
    assert probes == {"/healthz"}, "/readyz is not well while one platform of several is away"
    given = {entry["name"].lower(): entry["value"] for entry in container["env"]}
    assert given.keys() <= set(Settings.model_fields)
    gib = {volume["name"]: int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30 for volume in pod["volumes"]}
    assert int(given["disk_all_bytes"]) < gib["data"]
    assert Settings(fal_key=None).disk_member_bytes < gib["tmp"]


def test_the_steps_of_the_image_work_in_an_empty_folder(tmp_path: Path) -> None:
    """Exactly what the Dockerfile copies starts, with the packages of this environment."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+) (\S+)$", text)
    for source, target in copied:
        whole = ROOT / source
        if whole.is_dir():
            shutil.copytree(whole, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(whole, tmp_path / target)
    entry = json.loads(re.findall(r"(?m)^ENTRYPOINT (\[.*\])$", text)[0])
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *entry[1:], "history"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed = re.findall(r"pip install (.*?) -r requirements.lock", text)
    assert all("--require-hashes" in options for options in installed)
    assert re.search(r"(?m)^USER bot$", text)
