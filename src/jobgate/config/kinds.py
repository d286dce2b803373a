"""The kinds of values that keys have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from jobgate.config.units import DURATION, FILE, NETWORK, PLACE, SIZE, STAGED, WEB_ADDRESS

Size = Annotated[int, Meta(extra={"unit": SIZE})]
Duration = Annotated[float, Meta(extra={"unit": DURATION})]
NetworkText = Annotated[str, Meta(extra={"unit": NETWORK})]
PlaceText = Annotated[str, Meta(extra={"unit": PLACE})]
WebAddress = Annotated[str, Meta(extra={"unit": WEB_ADDRESS})]
FilePath = Annotated[str, Meta(extra={"unit": FILE})]
StagedName = Annotated[str, Meta(extra={"unit": STAGED})]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"[a-z0-9][a-z0-9_.-]{0,62}")]
DAY = 86_400.0
