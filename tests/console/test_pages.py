"""What the console's files promise and only their text can show: no inline code, nothing from elsewhere, every stage named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmstream.core.trace import Stage

BROWSER = Path(__file__).parents[2] / "clients" / "browser"
PAGES = ("index.html", "view.html")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_holds_no_inline_code_or_style(name: str) -> None:
    html = (BROWSER / name).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", html))


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_asks_for_is_there(name: str) -> None:
    html = (BROWSER / name).read_text(encoding="utf-8")
    assets = re.findall(r'(?:src|href)="/assets/([^"]+)"', html)
    assert assets
    for asset in assets:
        assert (BROWSER / asset).is_file(), asset


def test_nothing_comes_from_another_server() -> None:
    for path in (*BROWSER.glob("*.html"), *BROWSER.glob("js/*.js"), *BROWSER.glob("css/*.css")):
        addresses = re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8"))
        assert not [address for address in addresses if not address.startswith(("http://www.w3.org/", "http://localhost"))], (
            path
        )


def test_every_module_that_is_imported_is_there() -> None:
    for path in BROWSER.glob("js/*.js"):
        for imported in re.findall(r'from "(\./[^"]+)"', path.read_text(encoding="utf-8")):
            assert (path.parent / imported).is_file(), f"{path.name} imports {imported}"


def test_the_console_names_every_stage_of_a_frame_in_the_order_it_passes_them() -> None:
    keys = re.findall(r'key: "(\w+)"', (BROWSER / "js" / "stages.js").read_text(encoding="utf-8"))
    assert [key for key in keys if not key.startswith("browser_") and key != "network"] == [stage.value for stage in Stage]
