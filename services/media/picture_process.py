"""Looks at one picture: `python -m services.media.picture_process JOB`, where JOB is JSON made by `pictures.py`.

The picture comes by standard input. Standard output gets lines: `ready`; `picture WIDTH HEIGHT`; for each thumbnail
`thumbnail SIZE LENGTH` and that many bytes; `end`. Or, at any point after `ready`, `failed EXCEPTION`.
"""

import contextlib
import copy
import ctypes
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from PIL import AvifImagePlugin, Image, ImageCms, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF")
"""What is opened at all. Of the others some are programs (EPS), some have a history."""
NEEDED_LATER = (copy, AvifImagePlugin, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""What Pillow would import when it is needed, and by then could not any more (TIFF is the inside of EXIF)."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of EXIF."""
SIDEWAYS = {5, 6, 7, 8}
"""The orientations whose width is the height."""

NICENESS = 10
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Looks at the picture, and says what can be said of it."""
    job = json.loads(sys.argv[1])
    Image.preinit()  # imports the other formats
    _end_with(job["parent"])
    _confine(job)
    _say(b"ready\n")
    data = sys.stdin.buffer.read()
    signal.setitimer(signal.ITIMER_REAL, job["wall_seconds"])  # ends the process, in whatever library it is
    try:
        _look(data, job)
    except Exception as error:  # noqa: BLE001 - a picture may provoke any
        _say(b"failed %s\n" % type(error).__name__.encode())
    else:
        _say(b"end\n")


def _end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies. Where it cannot, the limits of time must do."""
    for number in (signal.SIGINT, signal.SIGTERM):  # to a whole group: what the service does about them, it decides
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            raise SystemExit(1)


def _confine(job: dict[str, Any]) -> None:
    """Gives up whatever looking at a picture does not need."""
    if sys.platform == "linux":
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        with contextlib.suppress(OSError):  # if memory is short, then the picture goes, and not the service
            Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(NICENESS)
    limits = {
        resource.RLIMIT_AS: job["memory_bytes"],
        resource.RLIMIT_CPU: job["cpu_seconds"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a system that does not have this one
            resource.setrlimit(kind, (limit, limit))


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(argument) for argument in (value, 0, 0, 0)))


def _look(data: bytes, job: dict[str, Any]) -> None:
    # Opening reads the header alone, but GIF and WebP allocate what it asks for: so there is a limit for that, too.
    Image.MAX_IMAGE_PIXELS = 2 * job["max_pixels"]
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    orientation = _orientation(picture)
    across, down = picture.size
    _say(b"picture %d %d\n" % ((down, across) if orientation in SIDEWAYS else (across, down)))
    if across * down > job["max_pixels"] or max(across, down) > job["max_side"]:
        raise Image.DecompressionBombError
    sizes = [size for size in job["thumbnails"] if job["whole"] or size < max(across, down)]
    if not sizes:
        return
    small = _reduced(picture, sizes[0])
    if orientation in TURNS:
        small = small.transpose(TURNS[orientation])
    for size in sizes:
        small.thumbnail((size, size), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80, exif=b"", icc_profile=b"", xmp=b"")
        _say(b"thumbnail %d %d\n" % (size, out.tell()), out.getvalue())


def _orientation(picture: Image.Image) -> int:
    """Returns the orientation that EXIF data name; 1, which is upright, if they name none or make no sense."""
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
        return int(exif.get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - as above; a picture with broken EXIF data is still a picture
        return 1


def _reduced(picture: Image.Image, size: int) -> Image.Image:
    """Decodes the first frame, and returns it in the usual colours, without metadata, at most `size` wide and high."""
    picture.draft(None, (2 * size, 2 * size))  # JPEG can be decoded at a fraction of its size
    picture.load()
    small = _smooth(picture)
    small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if profile := picture.info.get("icc_profile"):
        small = _in_srgb(small, profile)
    if small.mode == "CMYK":
        small = small.convert("RGB")
    small.info = {}
    return small


def _smooth(picture: Image.Image) -> Image.Image:
    """Returns the picture in a mode whose pixels can be averaged."""
    if picture.mode.startswith("I"):  # gray of 16 bits
        return picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture if picture.mode in {"LA", "RGBA"} else picture.convert("RGBA")
    if picture.mode in {"L", "RGB", "CMYK"}:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Returns the picture in the colours that are assumed where no profile says otherwise; as it is if that fails."""
    mode = "RGBA" if picture.mode in {"LA", "RGBA"} else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return converted or picture


def _say(*parts: bytes) -> None:
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
