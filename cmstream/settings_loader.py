"""Resolves the settings once, at start: TOML file < environment CMSTREAM_* < command line. Pure but for reading the file.

Every fault becomes a ConfigurationError that says where the value came from: file and line, variable, or option. Values
are never repeated in a message: some of them are secrets.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from cmstream.core.errors import ConfigurationError
from cmstream.settings import Settings

ENV_PREFIX = "CMSTREAM_"
ENV_DELIMITER = "__"

Tree: TypeAlias = dict[str, Any]
KeyPath: TypeAlias = tuple[str, ...]


class _Environment(Settings, BaseSettings):
    """The settings as pydantic-settings reads them from the environment; lists are JSON."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, frozen=True, extra="forbid")


def load_settings(config: Path | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """The frozen settings. `overrides` maps dotted names ("http.port") to values; None means not given.

    Raises ConfigurationError: unreadable file, bad TOML, unknown key (naming the nearest known one), bad value.
    """
    file_tree, lines = _read_file(config)
    env_tree, variables = _read_environment(os.environ)
    option_tree = _read_options(overrides or {})
    origin = _Origin(config, lines, variables, frozenset(_leaves(option_tree)))
    for path in (*_leaves(file_tree), *_leaves(env_tree), *_leaves(option_tree)):
        _check_known(path, origin)
    merged = _merge(_merge(file_tree, env_tree), option_tree)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_problems(error, origin))) from None


def known_keys(model: type[BaseModel] = Settings, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """Every setting's path, e.g. ("http", "port"), in the order of the page."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            yield (*prefix, name)
        else:
            yield from known_keys(section, (*prefix, name))


def section_of(annotation: object) -> type[BaseModel] | None:
    """The model of a section, None for a plain setting."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


class _Origin:
    """Where each value came from, for error messages."""

    def __init__(
        self, config: Path | None, lines: Mapping[KeyPath, int], variables: Mapping[KeyPath, str], options: frozenset[KeyPath]
    ) -> None:
        self._config = config
        self._lines = lines
        self._variables = variables
        self._options = options

    def of(self, path: KeyPath) -> str:
        """How a person would find the value of `path`: the strongest source that set it."""
        if path in self._options:
            return "command line: " + ".".join(path)
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._variables:
                return f"environment: {self._variables[path[:depth]]}"
        line = next((self._lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in self._lines), None)
        where = f"{self._config}:{line}" if line else str(self._config)
        return f"{where}: {'.'.join(path)}"


def _read_file(config: Path | None) -> tuple[Tree, dict[KeyPath, int]]:
    if config is None:
        return {}, {}
    try:
        text = config.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no settings file {config}; check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the settings file {config}: {error}") from error
    try:
        return tomllib.loads(text), _line_numbers(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{config} is not valid TOML: {error}") from error


_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\-\s]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-]+)\s*=")


def _line_numbers(text: str) -> dict[KeyPath, int]:
    """Key → line, for the plain keys and headers people write; a key it misses is reported without its line."""
    lines: dict[KeyPath, int] = {}
    section: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = tuple(header[1].split("."))
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            lines.setdefault((*section, *key[1].split(".")), number)
    return lines


def _read_environment(environ: Mapping[str, str]) -> tuple[Tree, dict[KeyPath, str]]:
    known = {path[:depth] for path in known_keys() for depth in range(1, len(path) + 1)}
    variables: dict[KeyPath, str] = {}
    for name in sorted(environ):
        if not name.upper().startswith(ENV_PREFIX):
            continue
        path = tuple(name.lower()[len(ENV_PREFIX) :].split(ENV_DELIMITER))
        if path not in known:
            nearest = _nearest(".".join(path))
            meant = ENV_PREFIX + ENV_DELIMITER.join(nearest.split(".")).upper()
            raise ConfigurationError(f"environment: unknown setting {name}; did you mean {meant}?")
        variables[path] = name
    try:
        tree: Tree = EnvSettingsSource(_Environment)()
    except SettingsError as error:
        raise ConfigurationError(f"environment: {error}; lists and tables are written as JSON") from None
    return tree, variables


def _read_options(overrides: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for name, value in overrides.items():
        if value is None:
            continue
        *sections, leaf = name.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[leaf] = value
    return tree


def _check_known(path: KeyPath, origin: _Origin) -> None:
    if path not in set(known_keys()) and path not in {(name,) for name in Settings.model_fields}:
        raise ConfigurationError(f"{origin.of(path)}: unknown setting; did you mean {_nearest('.'.join(path))}?")


def _nearest(name: str) -> str:
    """The known setting most like `name`: by its whole dotted name, else by its last part."""
    names = [".".join(path) for path in known_keys()]
    whole = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    if whole:
        return whole[0]
    by_leaf = {known.rsplit(".", 1)[-1]: known for known in reversed(names)}
    leaf = difflib.get_close_matches(name.rsplit(".", 1)[-1], by_leaf, n=1, cutoff=0.7)
    return by_leaf[leaf[0]] if leaf else difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]


def _leaves(tree: Tree, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*prefix, name))
        else:
            yield (*prefix, name)


def _merge(weaker: Tree, stronger: Tree) -> Tree:
    merged = dict(weaker)
    for name, value in stronger.items():
        before = merged.get(name)
        merged[name] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _problems(error: ValidationError, origin: _Origin) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        path = tuple(str(part) for part in problem["loc"])
        message = problem["msg"]
        yield f"{origin.of(path)}: {message[:1].lower()}{message[1:]}"
