from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ("gateways", "local_rig")

settings.register_profile("quick", max_examples=300, deadline=None)
settings.register_profile("soak", max_examples=20_000, deadline=None)
settings.load_profile("soak" if os.environ.get("JOBGATE_SOAK") else "quick")
