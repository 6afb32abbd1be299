"""A picture as a parameter: what is sent is checked, what is told is its digest, and that keeps what there is."""

from __future__ import annotations

import hashlib

import pytest

from cmstream.core.errors import InvalidParameters
from cmstream.core.params import ParameterSpec, apply_patch, carried_over, common_parameters, default_params, json_schema
from cmstream.core.sent_picture import MAX_PICTURE_BYTES, MAX_PICTURE_URL, SentPicture, sent_picture
from tests.core.sending import data_url, picture_url

SPECS = (*common_parameters(("prompt",)), ParameterSpec("reference", "picture", "", "Reference", "A picture."))
URL = picture_url(1)


def test_a_picture_is_told_by_its_digest_which_sent_back_keeps_it_and_empty_takes_it_away() -> None:
    params = apply_patch(SPECS, default_params(SPECS), {"reference": URL})
    picture = params.extra["reference"]
    assert isinstance(picture, SentPicture)
    digest = params.as_json()["reference"]
    assert digest == f"sha256:{hashlib.sha256(picture.data).hexdigest()}"
    assert apply_patch(SPECS, params, {"strength": 0.5, "reference": digest}).extra["reference"] is picture
    assert apply_patch(SPECS, params, {"reference": ""}).as_json()["reference"] == ""
    with pytest.raises(InvalidParameters, match="reference: must be a picture as a data URL"):
        apply_patch(SPECS, default_params(SPECS), {"reference": digest})


def test_a_picture_is_carried_over_to_a_model_that_hears_pictures_too() -> None:
    params = apply_patch(SPECS, default_params(SPECS), {"reference": URL})
    assert carried_over(SPECS, params, SPECS).extra["reference"] is params.extra["reference"]
    assert "reference" not in carried_over(SPECS, params, SPECS[:-1]).extra


def test_equal_files_are_equal_pictures() -> None:
    assert sent_picture(URL) == sent_picture(URL)
    assert hash(sent_picture(URL)) == hash(sent_picture(URL))
    assert sent_picture(URL) != sent_picture(picture_url(2))
    assert "PNG" not in repr(sent_picture(URL))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "must be a picture as a data URL"),
        (7, "must be a picture as a data URL"),
        ({"url": URL}, "must be a picture as a data URL"),
        ("https://example.org/a.png", "must be a picture as a data URL"),
        ("data:text/html;base64,PGI+", "must be a picture as a data URL"),
        ("data:image/svg+xml;base64,PHN2Zz4=", "must be a picture as a data URL"),
        (URL + "\n", "must be a picture as a data URL"),
        (URL[:-3], "must be base64 without gaps"),
        (data_url(b"GIF89a" + bytes(40)), "is not a JPEG, PNG or WebP"),
        (data_url(b"\x89PNG\r\n\x1a\n"), "header is cut short"),
        (data_url(bytes(MAX_PICTURE_BYTES + 3000)), "must be a file of at most 512 KB"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(value: object, expected: str) -> None:
    with pytest.raises(InvalidParameters, match=expected) as caught:
        apply_patch(SPECS, default_params(SPECS), {"reference": value})
    assert len(str(caught.value)) < 200


def test_the_schema_says_what_is_sent() -> None:
    assert json_schema(SPECS)["properties"]["reference"] == {
        "title": "Reference",
        "description": "A picture.",
        "default": "",
        "type": "string",
        "format": "data-url",
        "maxLength": MAX_PICTURE_URL,
    }
