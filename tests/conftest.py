"""For all tests: with CI=true, hypothesis tries the same examples each time; elsewhere new ones, so that bugs are found at a desk."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")
