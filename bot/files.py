"""Where pictures lie, by the settings: on this machine, or also in an object store that all replicas read."""

from pathlib import Path

from bot.settings import Settings, secret
from core.images.renditions import JobMedia
from core.ports.checkup import NotUsable
from core.storage.files.job_files import JobFiles
from core.storage.files.object_store import ObjectStore
from core.storage.jobs import SqlJobStore


def job_files(s: Settings) -> JobFiles:
    """Raises NotUsable."""
    if s.files_url is None:
        return JobFiles(s.data_dir)
    return JobFiles(s.data_dir, object_store(s.files_url, s))


async def result_file(store: SqlJobStore, media: JobMedia, job_id: str, name: str) -> Path | None:
    """The full result of this job where it is kept and has this name."""
    job = await store.get(job_id)
    if job is None or job.result is None or job.images_deleted or Path(job.result.path).name != name:
        return None
    return (await media.original(job)).path


def object_store(url: str, s: Settings) -> ObjectStore:
    """What the settings say of keys and endpoint counts before the environment. Raises NotUsable."""
    named = {
        "access_key_id": s.aws_access_key_id,
        "secret_access_key": secret(s.aws_secret_access_key),
        "region": s.aws_region,
        "endpoint": s.aws_endpoint_url,
    }
    s3 = url.startswith(("s3://", "s3a://"))
    try:
        return ObjectStore(url, {name: value for name, value in named.items() if value and s3})
    except ValueError as error:
        raise NotUsable(f"FILES_URL cannot be used: {error}") from error
