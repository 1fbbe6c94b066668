"""What pydantic has against an experiment file, as one sentence that names the key of the file."""

import datetime
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from steps.config.schema import Experiment
from steps.config.section import COMMIT_PATTERN, NAME_PATTERN
from steps.errors import close_match, nearest

_PATTERNS = {
    NAME_PATTERN: "consist of the letters A-Z and a-z, digits, _ and -, and not start with -",
    COMMIT_PATTERN: "be the full hash of a commit, 40 hexadecimal digits",
    r"^[\w.-]+/[\w.-]+$": "be an id of the hub such as owner/name",
}
_KINDS = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list such as [a, b]",
    "dict_type": "a section of names and values",
    "model_type": "a section of keys and values",
    "model_attributes_type": "a section of keys and values with the key 'source'",
}
_KEY = "[key]"  # pydantic's mark of an error in the name of an entry, not in its value


def describe(error: ValidationError, content: dict, model: type[BaseModel] = Experiment) -> str:
    """Return one sentence on the first error.

    Args:
        content: the file as YAML reads it.
        model: what it was validated against.
    """
    errors = [(each, *_follow(content, list(each["loc"]))) for each in error.errors()]
    # A misspelt key also leaves the right one missing; the misspelling is the cause to name.
    first, _, where = min(errors, key=lambda e: e[0]["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        hint = nearest(where[-1], _known_keys(where[:-1], content, model))
        return f"unknown key '{'.'.join(where)}'; {hint}"
    # Where a value may be of several kinds, each has an error; one inside it is of the kind meant.
    errors = [each for each in errors if each[2][: len(where)] == where]
    first, section, where = max(errors, key=lambda e: len(e[2]))
    wanted = " or ".join(_wanted(each) for each, _, place in errors if place == where)
    return _sentence(first, _name(where), section, wanted)


def _sentence(error: dict[str, Any], key: str, section: Any, wanted: str) -> str:
    kind, value = error["type"], error["input"]
    match kind:
        case "missing":
            return f"the key '{key}' is missing"
        case "union_tag_not_found":
            meant = close_match("source", [str(written) for written in section])
            hint = f"; did you mean 'source' by '{meant}'?" if meant else ""
            return f"the key '{key}.source' is missing{hint}"
        case "union_tag_invalid" if section["source"] is None:
            return f"{key}.source is empty; name a source"
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in error["ctx"]["expected_tags"].split(",")]
            return f"{key}.source: unknown value {_shown(section['source'])}; " + nearest(
                error["ctx"]["tag"], known
            )
        case "invalid_key":
            return f"the key {_shown(value)} must be text; put it in quotes or correct it"
        case "value_error":
            message = error["msg"].removeprefix("Value error, ")
            return f"{key}: {message}" if key else message
    quotes = "; put it in quotes" if kind == "string_type" and _is_plain(value) else ""
    shown = "" if error["loc"][-1] == _KEY else f" (it is {_shown(value)})"
    return f"{key} must {wanted}{shown}{quotes}"


def _wanted(error: dict[str, Any]) -> str:
    """What the value must be or have, in plain words."""
    kind, facts = error["type"], error.get("ctx", {})
    match kind:
        case "greater_than":
            return f"be greater than {facts['gt']:.12g}"
        case "greater_than_equal":
            return f"be at least {facts['ge']:.12g}"
        case "less_than":
            return f"be less than {facts['lt']:.12g}"
        case "less_than_equal":
            return f"be at most {facts['le']:.12g}"
        case "too_short":
            return f"have at least {facts['min_length']} entry"
        case "literal_error":
            return f"be {facts['expected']}"
        case "string_pattern_mismatch" if facts["pattern"] in _PATTERNS:
            return _PATTERNS[facts["pattern"]]
    if kind in _KINDS:
        return f"be {_KINDS[kind]}"
    # A kind of check that the schema does not use yet: pydantic's own words.
    return error["msg"].removeprefix("Input should ").removeprefix("have ")


def _shown(value: Any) -> str:
    """Return a value as it stands in YAML; long ones by their kind."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case dict():
            return "a section" if value else "an empty section"
        case list():
            return "a list" if value else "an empty list"
        case str():
            return repr(value if len(value) <= 60 else value[:60] + "...")
    return str(value)


def _is_plain(value: Any) -> bool:
    """Whether YAML reads text without quotes as such a value: 2024, 1.5, yes, 2024-01-31."""
    return isinstance(value, bool | int | float | datetime.date)


def _name(where: list[str | int]) -> str:
    """Return the location for people: ``training.epochs``, ``methods: entry 2``."""
    if where and where[-1] == _KEY:
        return f"{'.'.join(map(str, where[:-2]))}: the name '{where[-2]}'"
    keys = ".".join(part for part in where if isinstance(part, str))
    entries = [part for part in where if isinstance(part, int)]
    return keys + "".join(f": entry {number + 1}" for number in entries)


def _follow(content: Any, location: list[str | int]) -> tuple[Any, list[str | int]]:
    """Return what stands at the location, and the location without what is no key of the file.

    Pydantic puts the tag of a union's member, or its type (``list[str]``, ``[section]``), behind
    the name of its section or value.
    """
    where: list[str | int] = []
    section, tagged = content, False
    for part in location:
        if isinstance(section, dict) and section.get("source") == part and not tagged:
            tagged = True
            continue
        tagged = False
        if _is_type(part, section):
            continue
        where.append(part)
        if isinstance(section, dict):
            section = section.get(part)
        elif isinstance(section, list) and isinstance(part, int):
            section = section[part]
    return section, where


def _is_type(part: str | int, section: Any) -> bool:
    """Whether this part of a location is the type of a union's member."""
    key = part == _KEY or (isinstance(section, dict) and part in section)
    return not key and isinstance(part, str) and "[" in part


def _known_keys(where: list[str | int], content: Any, model: type[BaseModel]) -> list[str]:
    """The keys that the section at ``where`` may have."""
    section = content
    parts = iter(where)
    for part in parts:
        section, annotation = section[part], model.model_fields[part].annotation
        if get_origin(annotation) is dict:  # entries by a name, which is no key of the schema
            section = section[next(parts)]
        for candidate in _models(annotation):
            source = candidate.model_fields.get("source")
            if source is None or section.get("source") in source.annotation.__args__:
                model = candidate
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field may hold, of its type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
