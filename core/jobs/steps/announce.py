"""Close the job's message in words: why there is no picture, or where the picture went."""

from core.domain.job import Job, JobState
from core.jobs.context import Next, Tools
from core.jobs.endings import tell_end
from core.jobs.steps.fail import close_question


async def announce(tools: Tools, job: Job) -> Next:
    """The first try; while the platform is away, the row that is owed is tried again by whoever lives."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        job = await close_question(tools, job)
    if job.state.terminal:  # else agreed to in the last moment: it goes on elsewhere
        await tools.quiet(job)
        if await tools.obligations.owes_end(job.id):  # else it was told before, and this run begins after its end
            await tell_end(tools, job)
    return "end"
