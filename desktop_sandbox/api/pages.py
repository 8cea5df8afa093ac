"""The viewer's pages and modules, as files of `viewer/`: in a checkout beside this package, in a wheel as well.

Only files that were there at the start are served, by their exact names: no path leads anywhere else. Beside the
viewer's own these are a few of xterm.js, the terminal panel's, where npm has put them (`LIBRARY`). They are loaded
without a key, since what they show takes one. A view may be embedded anywhere unless it is forbidden: it has no
cookie, so who embeds it can do no more than with the link; the wall, which is opened with the API key, may not.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

import desktop_sandbox
from desktop_sandbox import errors
from desktop_sandbox.api.services import services

router = APIRouter(include_in_schema=False)

FOLDER = Path(desktop_sandbox.__file__).resolve().parent.parent / "viewer"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
LIBRARY = {
    "xterm/xterm.mjs": "node_modules/@xterm/xterm/lib/xterm.mjs",
    "xterm/xterm.css": "node_modules/@xterm/xterm/css/xterm.css",
    "xterm/addon-fit.mjs": "node_modules/@xterm/addon-fit/lib/addon-fit.mjs",
    "xterm/addon-unicode11.mjs": "node_modules/@xterm/addon-unicode11/lib/addon-unicode11.mjs",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Page:
    """A file as it was when it was read, and its ETag."""

    data: bytes
    media_type: str
    etag: str


class Pages:
    """The files that may be served, by name; read again when they have changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: dict[str, Path] = {}
        self._read: dict[str, tuple[float, Page]] = {}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") or part == "node_modules" for part in name.parts)
            if path.suffix in _TYPES and path.is_file() and not path.is_symlink() and not hidden:
                self._files[name.as_posix()] = path
        for served, installed in LIBRARY.items():
            if (folder / installed).is_file():
                self._files[served] = folder / installed

    def get(self, name: str) -> Page:
        """A file by its exact name. NotFoundError."""
        path = self._files.get(name)
        if path is None and name in LIBRARY:
            raise errors.NotFoundError(
                f"{name} is not installed: the viewer's terminal needs xterm.js",
                hint=f"npm ci --omit=dev in {FOLDER} (make setup does it), then start the server again",
            )
        if path is None:
            raise errors.NotFoundError(f"there is no page {name[:80]!r}", hint="GET /view/SANDBOX shows a desktop")
        changed = path.stat().st_mtime
        kept = self._read.get(name)
        if kept is None or kept[0] != changed:
            data = path.read_bytes()
            digest = hashlib.blake2b(data, digest_size=12).hexdigest()
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
            kept = self._read[name] = (changed, Page(data, kind, f'"{digest}"'))
        return kept[1]


@router.get("/view/{sandbox_id}")
async def view(request: Request, sandbox_id: str) -> Response:
    """Show one desktop, live."""
    return _answer(request, "view.html", services(request).config.stream.frame_ancestors)


@router.get("/wall")
async def wall(request: Request) -> Response:
    """Show all desktops."""
    return _answer(request, "wall.html", "'none'")


@router.get("/viewer/{name:path}")
async def module(request: Request, name: str) -> Response:
    """Serve a module, style or picture."""
    return _answer(request, name, "'none'")


def _answer(request: Request, name: str, ancestors: str) -> Response:
    page = services(request).pages.get(name)
    headers = {**_HEADERS, "ETag": page.etag, "Content-Security-Policy": _POLICY + ancestors}
    if request.headers.get("if-none-match") == page.etag:
        return Response(status_code=304, headers=headers)
    return Response(page.data, media_type=page.media_type, headers=headers)
