"""Every sentence that people read. `tr` marks and translates; `explain` turns an error into a notice.

Nothing in here decides anything: facts come in, sentences go out. Other rooms import from here what these modules hold.
"""

from core.presentation.card import *  # noqa: F403
from core.presentation.formats import *  # noqa: F403
from core.presentation.notices import *  # noqa: F403
from core.presentation.texts.failure_texts import *  # noqa: F403
from core.presentation.translations import *  # noqa: F403
