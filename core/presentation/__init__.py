"""Every sentence that people read, as cards and notices. `tr` translates; `explain` turns an error into a notice.

Pure: facts and a locale come in, text goes out. Other rooms import what the modules below hold from here.
"""

from core.presentation.card import *  # noqa: F403
from core.presentation.formats import *  # noqa: F403
from core.presentation.notices import *  # noqa: F403
from core.presentation.texts.failure_texts import *  # noqa: F403
from core.presentation.translations import *  # noqa: F403
