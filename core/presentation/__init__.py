"""Every sentence that people read. `tr` marks and translates; `explain` turns an error into a notice.

Nothing in here decides anything: facts come in, sentences go out.
"""

from __future__ import annotations

from core.presentation.failure_texts import Charge, explain
from core.presentation.notices import Notice, Offer
from core.presentation.translations import LANGUAGES, language_of, tr, trn

__all__ = ["LANGUAGES", "Charge", "Notice", "Offer", "explain", "language_of", "tr", "trn"]
