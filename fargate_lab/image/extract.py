"""Layers unpacked into a folder, by the rules of the OCI image specification ("Layers").

Nothing is written outside the folder, whatever the archives hold: names, links and links that
earlier members or layers left behind are all resolved with the folder as `/`.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import tarfile
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path

from . import tarstream
from .digests import verify_file
from .errors import ImageError, UnpackError
from .files import remove_tree
from .inside import Inside, parts_of
from .media import compression

#: Bytes that an image may unpack to: a Fargate task's default ephemeral storage, 20 GiB.
MAX_BYTES = 20 << 30
MAX_MEMBERS = 1_000_000
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def unpack(
    layers: Sequence[tuple[Path, str]],
    target: Path,
    *,
    verify: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Unpack (blob, media type) pairs, lowest first, into `target`: an empty or new folder.

    `verify` gives the blobs' digests, checked before anything is written. `max_bytes` is the most
    that all layers together may take. UnpackError names the member that was refused; the
    folder is then empty again. Owners are not set; set-user-ID bits are dropped.
    """
    if verify is not None:
        for (blob, _), digest in zip(layers, verify, strict=True):
            verify_file(blob, digest, f"layer {blob.name[:19]}")
    kinds = [compression(media_type) for _, media_type in layers]
    existed = target.is_dir()
    if existed and any(target.iterdir()):
        raise ImageError(f"{target} is not empty; unpack into a new folder.")
    target.mkdir(parents=True, exist_ok=True)
    try:
        work = _Unpacking(target.resolve(), max_bytes)
        for (blob, _), kind in zip(layers, kinds, strict=True):
            work.layer(blob, kind)
        work.finish()
    except BaseException:
        remove_tree(target)
        if existed:
            target.mkdir()
        raise
    return target


def ignores_case(folder: Path) -> bool:
    """Whether the file system takes `a` and `A` for the same name."""
    probe = folder / ".lab-Case-Probe"
    probe.touch()
    try:
        return (folder / ".LAB-cASE-pROBE").exists()
    finally:
        probe.unlink()


class _Limited:
    """Counts what is read, so that a small blob cannot become an endless archive."""

    def __init__(self, source: tarstream.Source, work: _Unpacking) -> None:
        self._source, self._work = source, work

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._work.left -= len(data)
        if self._work.left < 0:
            raise UnpackError(self._work.member, self._work.too_big)
        return data


class _Unpacking:
    def __init__(self, root: Path, max_bytes: int) -> None:
        self._inside = Inside(root)
        self.left = max_bytes
        self.too_big = f"the image is larger than {max_bytes} bytes when unpacked."
        self.member = "(start)"
        self._count = 0
        self._links: dict[str, str] = {}
        self._copies: list[tuple[str, str, str]] = []
        self._made: set[str] = set()
        self._spelled: dict[str, str] | None = {} if ignores_case(root) else None

    def layer(self, blob: Path, kind: str) -> None:
        """Apply one layer on top of what is there."""
        self._made = set()
        with blob.open("rb") as raw:
            source = gzip.GzipFile(fileobj=raw) if kind == "gzip" else raw
            try:
                for info, body in tarstream.members(_Limited(source, self)):
                    self._count += 1
                    self.member = info.name
                    if self._count > MAX_MEMBERS:
                        raise UnpackError(info.name, f"the image has over {MAX_MEMBERS} members.")
                    self._member(info, body)
            except (EOFError, zlib.error, gzip.BadGzipFile) as broken:
                raise UnpackError(self.member, f"the gzip stream is damaged: {broken}") from None
            except OSError as failed:
                raise UnpackError(self.member, f"it could not be written: {failed}") from failed

    def _member(self, info: tarfile.TarInfo, body: tarstream.Body) -> None:
        parts = parts_of(info.name)
        if not parts:
            if not info.isdir():
                raise UnpackError(info.name, "it would replace the image's root.")
            return
        parent = self._inside.folder(parts[:-1], info.name)
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, name, info.name)
            return
        place = f"{parent}/{name}" if parent else name
        if info.isdir():
            self._folder(place, info)
            return
        if place in self._made:
            raise UnpackError(
                info.name,
                "it is in its layer twice, so that two programs could see two different contents.",
            )
        if info.isreg():
            self._file(place, info, body)
        elif info.issym():
            self._symlink(place, info.linkname, info.name)
        elif info.islnk():
            self._hardlink(place, info)
        else:
            raise UnpackError(info.name, "it is a device node or a pipe; images must not have any.")

    def _claim(self, place: str, member: str) -> str:
        """Make way for a member: what is there goes; its path in the file system."""
        self._spell(place, member)
        path = self._inside.path(place)
        self._remove(place)
        self._mark(place)
        return path

    def _mark(self, place: str) -> None:
        while place and place not in self._made:
            self._made.add(place)
            place = place.rpartition("/")[0]

    def _spell(self, place: str, member: str) -> None:
        if self._spelled is None:
            return
        key = unicodedata.normalize("NFC", place).casefold()
        before = self._spelled.setdefault(key, place)
        if before != place:
            raise UnpackError(
                member,
                f"/{before} and /{place} differ only in case, and this file system cannot hold "
                "both; use a case-sensitive one, Linux or WSL 2.",
            )

    def _remove(self, place: str) -> None:
        path = self._inside.path(place)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            remove_tree(Path(path))
            self._links = {
                link: member
                for link, member in self._links.items()
                if not link.startswith(place + "/")
            }
        else:
            os.unlink(path)
            self._links.pop(place, None)
        if not stat.S_ISREG(mode):
            self._inside.forget()

    def _folder(self, place: str, info: tarfile.TarInfo) -> None:
        path = self._inside.path(place)
        if os.path.isdir(path) and not os.path.islink(path):
            self._mark(place)
        else:
            if place in self._made:
                raise UnpackError(info.name, "its layer has the same path as a file and a folder.")
            os.mkdir(self._claim(place, info.name))
        # The owner may always enter, or the next member (and removal) would fail without root.
        os.chmod(path, info.mode & 0o1777 | 0o700)

    def _file(self, place: str, info: tarfile.TarInfo, body: tarstream.Body) -> None:
        if info.size > self.left:
            raise UnpackError(info.name, self.too_big)
        path = self._claim(place, info.name)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
        try:
            for data in body.chunks():
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
        finally:
            os.close(handle)
        os.chmod(path, info.mode & 0o777 | 0o400)
        os.utime(path, (info.mtime, info.mtime))

    def _symlink(self, place: str, target: str, member: str) -> None:
        text = self._inside.link_text(place, target, member)
        path = self._claim(place, member)
        self._inside.forget()
        try:
            os.symlink(text, path)
            self._links[place] = member
        except OSError as failed:
            if sys.platform != "win32":
                raise UnpackError(member, f"the link could not be made: {failed}") from None
            # Windows lets only some users make links: a copy does, once the target is there.
            self._copies.append((place, text, member))

    def _hardlink(self, place: str, info: tarfile.TarInfo) -> None:
        parts = parts_of(info.linkname)
        if not parts:
            raise UnpackError(info.name, "it is a hard link to the image's root.")
        parent = self._inside.resolve(parts[:-1], info.name)
        source = self._inside.path(f"{parent}/{parts[-1]}" if parent else parts[-1])
        try:
            mode = os.lstat(source).st_mode
        except OSError:
            raise UnpackError(
                info.name, f"it is a hard link to {info.linkname!r}, which is not in the image."
            ) from None
        if stat.S_ISLNK(mode):
            self._symlink(place, os.readlink(source), info.name)
            return
        if not stat.S_ISREG(mode):
            raise UnpackError(info.name, f"it is a hard link to {info.linkname!r}, not a file.")
        path = self._claim(place, info.name)
        try:
            os.link(source, path)
        except FileNotFoundError:
            raise UnpackError(info.name, "it is a hard link to itself.") from None
        except OSError:  # a file system without hard links
            shutil.copy2(source, path)

    def _whiteout(self, parent: str, name: str, member: str) -> None:
        if name == _OPAQUE:
            self._empty(parent)
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", "..") or hidden.startswith(_WHITEOUT):
            raise UnpackError(member, "it is not a valid whiteout.")
        place = f"{parent}/{hidden}" if parent else hidden
        if place not in self._made:  # a whiteout speaks of the layers below only
            self._remove(place)
            if self._spelled is not None:
                self._spelled.pop(unicodedata.normalize("NFC", place).casefold(), None)

    def _empty(self, place: str) -> None:
        for name in os.listdir(self._inside.path(place)):
            child = f"{place}/{name}" if place else name
            path = self._inside.path(child)
            if child not in self._made:
                self._remove(child)
            elif os.path.isdir(path) and not os.path.islink(path):
                self._empty(child)

    def finish(self) -> None:
        """Check where every link that is left leads, now that all others are in place."""
        for place, member in self._links.items():
            if os.path.islink(self._inside.path(place)):
                self._inside.resolve(place.split("/"), member)
        for place, text, member in self._copies:
            self._copy(place, text, member)

    def _copy(self, place: str, text: str, member: str) -> None:
        here = place.split("/")[:-1]
        source = self._inside.path(self._inside.resolve([*here, *text.split("/")], member))
        path = self._inside.path(place)
        if os.path.lexists(path):
            return
        if os.path.isfile(source):
            shutil.copy2(source, path)
        elif os.path.isdir(source) and not (path + "/").startswith(source + "/"):
            shutil.copytree(source, path)
        else:
            raise UnpackError(
                member,
                "Windows refused the link and its target cannot be copied; turn on "
                "Developer Mode, or use WSL 2.",
            )
