"""The models that a running server may be told to change to, by name: those of the registry, and what its operator named.

A name from the network is looked up here and nowhere else, so none becomes a path or a repository of the hub. Blocking: looks
at files; runs where a server starts up, or off its event loop.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from cmstream.core.errors import ConfigurationError, NotFound
from cmstream.core.model_info import Listing
from cmstream.models.latent.catalogue import CARD
from cmstream.models.latent.opening import hub_of, wanted
from cmstream.models.latent.reference import PREFIX, parse_reference
from cmstream.models.registry import listings, names
from cmstream.settings import LISTED, ModelSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
UNKNOWN = "see where it comes from"
OWN = "own-"
"""Put before the name of what a server started with where the registry has a model of that name."""


class Roster:
    """What `models.swappable` allows, and `started`, what the server was started with: there is a way back to it.

    `first` is the name of that one. Raises ConfigurationError.
    """

    def __init__(self, settings: ModelSettings, started: str) -> None:
        self._settings = settings
        listed = names()
        self._places = _places(settings.swappable, listed)
        self.first = next((name for name, place in self._places.items() if place == started), "") or _name_of(started, listed)
        if self._places:
            self._places.setdefault(self.first, started)

    def __repr__(self) -> str:
        return f"<Roster of {', '.join(self._places) or 'nothing'}>"

    def place(self, name: str) -> str:
        """What `registry.load` takes for `name`. Raises NotFound, which names the nearest."""
        if not self._places:
            raise NotFound("this server changes its model for nobody: models.swappable is empty")
        place = self._places.get(name)
        if place is None:
            nearest = max(self._places, key=lambda known: difflib.SequenceMatcher(None, name[:64], known).ratio())
            raise NotFound(
                f"this server has no model {name[:64]!r} to change to; the nearest is {nearest!r}. models.swappable says which"
            )
        return place

    def listings(self) -> tuple[Listing, ...]:
        """All of them, as `cmstream models` shows models."""
        known = {listing.name: listing for listing in listings(self._settings)}
        return tuple(known[name] if place == name else self._listing(name, place) for name, place in self._places.items())

    def _listing(self, name: str, place: str) -> Listing:
        """Of what an operator named; its licence is the operator's to know."""
        if place.startswith(PREFIX):
            return Listing(name, place, CARD, 0, CARD, _is_downloaded(place, self._settings))
        size_bytes, present = _on_disk(Path(place).expanduser())
        return Listing(name, name, UNKNOWN, size_bytes, UNKNOWN, present)


def _places(swappable: tuple[str, ...], listed: tuple[str, ...]) -> dict[str, str]:
    places: dict[str, str] = {}
    for one in swappable:
        name, equals, place = one.partition("=")
        if one == LISTED:
            places.update(zip(listed, listed, strict=True))
        elif not equals and name in listed:
            places[name] = name
        elif _NAME.fullmatch(name) and _makes_sense(place):
            places[name] = place
        else:
            raise ConfigurationError(
                f"models.swappable: {one[:80]!r} must be {LISTED!r}, a name from `cmstream models`, name=file, name=folder or "
                "name=hf:owner/name@revision, names of letters, digits, '.', '_' and '-'"
            )
    return places


def _name_of(started: str, listed: tuple[str, ...]) -> str:
    if started in listed:
        return started
    name = wanted(started).name
    return f"{OWN}{name}" if name in listed else name


def _on_disk(path: Path) -> tuple[int, bool]:
    """(size of a file, whether it is there); what cannot be looked at is not there, and loading it says why."""
    try:
        return path.stat().st_size if path.is_file() else 0, path.exists()
    except OSError:
        return 0, False


def _is_downloaded(place: str, settings: ModelSettings) -> bool:
    try:
        return hub_of(settings).folder(parse_reference(place)) is not None
    except ConfigurationError:
        return False


def _makes_sense(place: str) -> bool:
    try:
        return bool(place) and (not place.startswith(PREFIX) or bool(parse_reference(place)))
    except NotFound:
        return False
