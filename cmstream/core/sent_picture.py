"""A picture as the value of a parameter: it comes as a data URL (RFC 2397), and is named by its digest from then on.

Only the header is looked at here, which is quick; whoever decodes it does so off the event loop. Pure data.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field

from cmstream.core.errors import InvalidFrame
from cmstream.core.picture_file import read_header

MAX_PICTURE_BYTES = 512 * 1024
"""Of its file. What it is looked at for is seen in a few hundred pixels."""
MAX_PICTURE_URL = MAX_PICTURE_BYTES * 4 // 3 + 64
"""Characters of such a URL."""
_URL = re.compile(r"data:image/(?:jpeg|png|webp);base64,([A-Za-z0-9+/]+={0,2})")
_HOW = "as a data URL, 'data:image/jpeg;base64,…' (or png, webp)"


@dataclass(frozen=True, slots=True)
class SentPicture:
    """Equal by its digest, so that a look with it is compared as quickly as one without."""

    digest: str
    """SHA-256 of the file, as "sha256:" and 64 digits: what stands for it in all answers."""
    data: bytes = field(compare=False, repr=False)
    """The file: a JPEG, PNG or WebP by its header."""


def sent_picture(url: object) -> SentPicture:
    """Of a data URL. Raises ValueError, in words."""
    if not isinstance(url, str):
        raise ValueError(f"must be a picture {_HOW}, or empty for none")
    if len(url) > MAX_PICTURE_URL:
        raise ValueError(f"must be a file of at most {MAX_PICTURE_BYTES // 1024} KB; scale the picture down to 512 px")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"must be a picture {_HOW}, or empty for none")
    try:
        data = base64.b64decode(found[1], validate=True)
        read_header(data)
    except ValueError:
        raise ValueError("must be base64 without gaps after the comma (RFC 4648)") from None
    except InvalidFrame as error:
        raise ValueError(str(error)) from None
    return SentPicture(f"sha256:{hashlib.sha256(data).hexdigest()}", data)
