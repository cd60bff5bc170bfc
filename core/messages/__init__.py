"""Every sentence that people read. `tr` marks and translates; `explain` turns an error into a notice.

Nothing in here decides anything: facts come in, sentences go out.
"""

from __future__ import annotations

from core.messages.catalog import LANGUAGES, language_of, tr, trn
from core.messages.failures import Charge, explain
from core.messages.notice import Notice, Offer

__all__ = ["LANGUAGES", "Charge", "Notice", "Offer", "explain", "language_of", "tr", "trn"]
