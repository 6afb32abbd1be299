"""Asks a window to close as its title bar's button would (ICCCM, 4.2.8.1), through libX11. Blocking."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p

CLIENT_MESSAGE = 33
FORMAT_BITS = 32


class ClientMessageEvent(Structure):
    """XClientMessageEvent of Xlib.h, padded to the size of an XEvent."""

    _fields_ = (
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("window", c_ulong),
        ("message_type", c_ulong),
        ("format", c_int),
        ("data", c_long * 5),
        ("padding", c_long * 12),
    )


class X11:
    """A connection to a display."""

    def __init__(self, display: str) -> None:
        self._x = ctypes.CDLL("libX11.so.6")
        self._x.XOpenDisplay.restype = c_void_p
        self._x.XDefaultRootWindow.restype = c_ulong
        self._x.XInternAtom.restype = c_ulong
        self._display = c_void_p(self._x.XOpenDisplay(display.encode()))
        assert self._display.value, f"no X server at {display}"

    def close(self) -> None:
        self._x.XCloseDisplay(self._display)

    def windows(self) -> dict[str, int]:
        """The windows on the screen, by their titles."""
        root, parent, count = c_ulong(), c_ulong(), c_uint()
        children = POINTER(c_ulong)()
        top = c_ulong(self._x.XDefaultRootWindow(self._display))
        self._x.XQueryTree(self._display, top, byref(root), byref(parent), byref(children), byref(count))
        found = {self._title(children[number]): children[number] for number in range(count.value)}
        self._x.XFree(children)
        return found

    def ask_to_close(self, window: int) -> None:
        """What becomes of it is for the window to decide."""
        event = ClientMessageEvent(type=CLIENT_MESSAGE, window=window, format=FORMAT_BITS)
        event.message_type = self._atom("WM_PROTOCOLS")
        event.data[0] = self._atom("WM_DELETE_WINDOW")
        self._x.XSendEvent(self._display, c_ulong(window), c_int(0), c_long(0), byref(event))
        self._x.XFlush(self._display)

    def _title(self, window: int) -> str:
        name = c_char_p()
        self._x.XFetchName(self._display, c_ulong(window), byref(name))
        title = (name.value or b"").decode(errors="replace")
        if name:
            self._x.XFree(name)
        return title

    def _atom(self, name: str) -> int:
        atom: int = self._x.XInternAtom(self._display, name.encode(), 0)
        return atom


def ask_to_close(display: str, title: str) -> None:
    """Ask the window whose title begins so. Raises LookupError where there is none."""
    x11 = X11(display)
    try:
        windows = x11.windows()
        wanted = [window for name, window in windows.items() if name.startswith(title)]
        if not wanted:
            raise LookupError(f"no window {title!r} among {sorted(windows)}")
        x11.ask_to_close(wanted[0])
    finally:
        x11.close()
