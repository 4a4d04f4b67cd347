"""The session browser: a widget that lists the sessions of a lab, filters them, and shows one as it went."""

from __future__ import annotations

from sessionlab.browser.widget import SessionBrowser

__all__ = ["SessionBrowser"]
