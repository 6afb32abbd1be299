"""What one check of `cmstream doctor` found. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """OK works; WARN works less well than it could; FAIL is needed and broken."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `mend` says what to do about it, empty where all is well."""

    verdict: Verdict
    subject: str
    detail: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:<4}  {self.subject:<9} {self.detail}" + (f"  → {self.mend}" if self.mend else "")


def ok(subject: str, detail: str) -> Finding:
    return Finding(Verdict.OK, subject, detail)


def warn(subject: str, detail: str, mend: str) -> Finding:
    return Finding(Verdict.WARN, subject, detail, mend)


def fail(subject: str, detail: str, mend: str) -> Finding:
    return Finding(Verdict.FAIL, subject, detail, mend)
