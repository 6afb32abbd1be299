"""A camera that other programs can choose, and that shows whatever it is given. Blocking; one thread.

pyvirtualcam talks to v4l2loopback on Linux and to OBS's camera on Windows and macOS.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

from cmstream.core.errors import ConfigurationError
from cmstream.core.frame import Rgb
from cmstream.transport.recording.movie_file import fitted

ADVICE = (
    "on Linux load v4l2loopback (apt-get install v4l2loopback-dkms; modprobe v4l2loopback exclusive_caps=1), "
    "elsewhere install OBS, whose camera is used"
)


class Device(Protocol):
    """What is used of a `pyvirtualcam.Camera`."""

    device: str

    def send(self, frame: Rgb) -> None:
        """Show a picture of the camera's own size, RGB."""

    def close(self) -> None:
        """Free the camera."""


class VirtualCamera:
    """A context manager. It opens with the first picture and keeps its size: others are fitted into that."""

    def __init__(self, fps: int, device: str | None = None) -> None:
        self._fps = fps
        self._device = device
        self._open: Device | None = None
        self._size_px = (0, 0)

    def __repr__(self) -> str:
        return f"<VirtualCamera {self._open.device if self._open else 'not open'}, {self._size_px}>"

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def name(self) -> str:
        """What other programs call it; empty before the first picture."""
        return self._open.device if self._open else ""

    def show(self, rgb: Rgb) -> None:
        """Show a picture. Raises ConfigurationError when there is no such camera."""
        if self._open is None:
            self._size_px = (rgb.shape[1] & ~1, rgb.shape[0] & ~1)
            self._open = _opened(*self._size_px, self._fps, self._device)
        self._open.send(fitted(rgb, *self._size_px))


def check_installed() -> None:
    """Raises ConfigurationError, with what to install, unless there is a library for it."""
    _library()


def _library() -> Any:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise ConfigurationError("a virtual camera needs pyvirtualcam; run: pip install 'cmstream[virtualcam]'") from error
    return pyvirtualcam


def _opened(width_px: int, height_px: int, fps: int, device: str | None) -> Device:
    library = _library()
    try:
        camera: Device = library.Camera(width=width_px, height=height_px, fps=fps, device=device)
    except RuntimeError as error:  # what pyvirtualcam raises for every reason
        raise ConfigurationError(f"no virtual camera could be opened: {error}; {ADVICE}") from error
    return camera
