"""Every sentence that people read. `tr` marks and translates; `explain` turns an error into a notice.

Nothing in here decides anything: facts come in, sentences go out.
"""

from core.presentation.failure_texts import explain
from core.presentation.notices import Notice
from core.presentation.translations import LANGUAGES, language_of, tr, trn

__all__ = ["LANGUAGES", "Notice", "explain", "language_of", "tr", "trn"]
