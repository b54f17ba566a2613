"""Pictures have a size and thumbnails; bombs and broken ones cost little (fault #14)."""

import asyncio
import dataclasses
import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from services.media.pictures import THUMBNAIL_TYPE, Limits, Picture, Pictures
from services.media.types import detect
from tests.services.media.drawings import GRADIENT, JPEG, encoded, in_chunks, png, png_chunk

LIMITS = Limits()
SECONDS = 60
"""Far more than anything here takes on a busy machine, and far less than it would take without limits."""


async def look(data: bytes, limits: Limits = LIMITS) -> Picture | None:
    async with asyncio.timeout(20):
        return await Pictures(limits).look(in_chunks(data))


def opened(thumbnail: bytes) -> Image.Image:
    assert detect(thumbnail, "") == THUMBNAIL_TYPE
    return Image.open(io.BytesIO(thumbnail))


@pytest.mark.parametrize(
    "data",
    [
        encoded(GRADIENT, "PNG"),
        encoded(GRADIENT.convert("RGB"), "JPEG", progressive=True),
        encoded(GRADIENT.quantize(16), "GIF", save_all=True, append_images=[Image.new("P", (640, 320))] * 3, loop=0),
        encoded(GRADIENT.convert("RGBA"), "WEBP", save_all=True, append_images=[Image.new("RGBA", (640, 320))]),
        encoded(GRADIENT.convert("RGB"), "AVIF", speed=10),
    ],
    ids=["PNG", "JPEG", "GIF", "WebP", "AVIF"],
)
async def test_a_picture_has_a_size_and_thumbnails_smaller_than_itself(data: bytes) -> None:
    picture = await look(data)
    assert picture is not None
    assert (picture.width, picture.height) == (640, 320)
    thumbnails = {size: opened(data) for size, data in picture.thumbnails.items()}
    assert {size: thumbnail.size for size, thumbnail in thumbnails.items()} == {480: (480, 240), 160: (160, 80)}
    for thumbnail in thumbnails.values():  # the first frame, and what is dark stays dark
        low, high = (thumbnail.convert("L").getpixel((80, y)) for y in (2, thumbnail.height - 3))
        assert isinstance(low, int) and isinstance(high, int)  # noqa: PT018 - one condition: gray
        assert low < 20
        assert high > 235


@pytest.mark.parametrize(
    ("picture", "options", "expected"),
    [
        (Image.new("I;16", (300, 200), 50000), {}, (195, 195, 195, 255)),
        (Image.new("1", (300, 200), 1), {}, (255, 255, 255, 255)),
        (Image.new("RGBA", (300, 200), (200, 100, 50, 128)), {}, (200, 100, 50, 128)),
        (Image.new("LA", (300, 200), (200, 128)), {}, (200, 200, 200, 128)),
        (Image.new("P", (300, 200), 0), {"transparency": 0}, (0, 0, 0, 0)),
    ],
    ids=["16 bits", "1 bit", "RGBA", "LA", "palette"],
)
async def test_thumbnails_keep_colours(
    picture: Image.Image, options: dict[str, object], expected: tuple[int, ...]
) -> None:
    found = await look(encoded(picture, "PNG", **options))
    assert found is not None
    colour = opened(found.thumbnails[160]).convert("RGBA").getpixel((50, 50))
    assert isinstance(colour, tuple)
    assert all(abs(a - b) <= 4 for a, b in zip(colour, expected, strict=True)), colour


async def test_a_picture_is_as_it_is_shown_and_thumbnails_carry_nothing_else() -> None:
    """Turned by EXIF, with colours by the profile, without place and words."""
    picture = Image.new("RGB", (600, 300), "black")
    picture.paste("white", (0, 0, 300, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what is left comes to the top
    exif[0x010E] = "a secret"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}  # GPS
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = await look(encoded(picture, "JPEG", exif=exif, icc_profile=profile, comment=b"a secret"))
    assert found is not None
    assert (found.width, found.height) == (300, 600)
    assert sorted(found.thumbnails) == [160, 480]
    for data in found.thumbnails.values():
        thumbnail = opened(data)
        assert thumbnail.size[0] * 2 == thumbnail.size[1]
        assert thumbnail.convert("L").getpixel((5, 5)) == 255
        assert thumbnail.convert("L").getpixel((5, thumbnail.height - 5)) == 0
        assert not thumbnail.getexif()
        assert not {"icc_profile", "exif", "xmp", "comment"} & set(thumbnail.info)
        assert b"secret" not in data


async def test_a_small_picture_has_no_thumbnails_and_a_thin_one_has_thin_ones() -> None:
    assert await look(encoded(Image.new("RGB", (160, 2)), "PNG")) == Picture(160, 2, {})
    thin = await look(encoded(Image.new("RGB", (4000, 1)), "PNG"))
    assert thin is not None
    assert {size: opened(data).size for size, data in thin.thumbnails.items()} == {
        1024: (1024, 1),
        480: (480, 1),
        160: (160, 1),
    }


BROKEN = {
    "empty": b"",
    "text": b"not a picture",
    "html in a PNG": b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
    "TIFF": encoded(GRADIENT, "TIFF"),
    "EPS": encoded(GRADIENT, "EPS"),
    "PDF": encoded(GRADIENT, "PDF"),
    "50,000 by 50,000": png(50_000, 50_000),
    "a frame beyond the GIF": b"GIF89a\xff\xff\xff\xff\x00\0\0!\xf9\x04\x08\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;",
    "a text that grows to 100 MiB": png(
        640, 320, png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(100 * 1024**2), 1)), rows=320
    ),
    "100 texts that grow to 1 MiB each": png(
        640, 320, png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1024**2), 1)) * 100, rows=320
    ),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_nothing_is_known_of_what_is_no_picture(data: bytes) -> None:
    async with asyncio.timeout(SECONDS):
        assert await look(data) is None


HALF = {
    "truncated PNG": (encoded(Image.effect_noise((640, 320), 50), "PNG")[:-9000], (640, 320)),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], (640, 320)),
    "too many pixels": (png(10_000, 10_000), (10_000, 10_000)),
    "too wide": (png(20_000, 2, rows=2), (20_000, 2)),
    "few bytes for a large GIF": (b"GIF89a@\x1f@\x1f\0\0\0,\0\0\0\0@\x1f@\x1f\0\x08\x01\0\0;", (8000, 8000)),
}


@pytest.mark.parametrize(("data", "size"), HALF.values(), ids=HALF.keys())
async def test_what_cannot_be_decoded_has_a_size_and_no_thumbnails(data: bytes, size: tuple[int, int]) -> None:
    assert await look(data) == Picture(*size, {})


async def test_a_jpeg_that_lies_about_its_size_costs_little() -> None:
    lying = JPEG.replace(struct.pack(">HH", 320, 640), struct.pack(">HH", 6000, 8000))
    picture = await look(lying, dataclasses.replace(LIMITS, memory_bytes=200 * 1024**2, cpu_seconds=2))
    assert picture is not None
    assert (picture.width, picture.height) == (8000, 6000)


async def test_of_thousands_of_frames_one_is_looked_at() -> None:
    head = encoded(GRADIENT.quantize(4), "GIF")
    frame = b"!\xf9\x04\x04\1\0\0\0,\0\0\0\0\x80\x02\x40\x01\0\x08\x01\0\0"
    async with asyncio.timeout(SECONDS):
        picture = await look(head[:-1] + frame * 50_000 + b";")
    assert picture is not None
    assert len(picture.thumbnails) == 2


@pytest.fixture(scope="module")
def large() -> bytes:
    return encoded(Image.new("RGBA", (8000, 6000), (1, 2, 3, 4)), "PNG", compress_level=1)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory_bytes=120 * 1024**2),
        Limits(wall_seconds=0.25),
        Limits(max_bytes=10_000),
        Limits(max_pixels=40_000_000),
    ],
    ids=["memory", "time", "bytes", "pixels"],
)
async def test_limits_cost_the_thumbnails(large: bytes, limits: Limits) -> None:
    picture = await look(large, limits)
    # Under load, a quarter of a second may be too little even for the header.
    assert picture == Picture(8000, 6000, {}) or (picture is None and limits.wall_seconds < 1)


async def test_a_large_picture_passes_through() -> None:
    """More than a pipe holds, in pieces of any size, more than is read at the end."""
    noise = encoded(Image.effect_noise((1500, 1000), 90), "PNG")
    limits = dataclasses.replace(LIMITS, max_bytes=len(noise) + 10)
    picture = await Pictures(limits).look(in_chunks(noise + bytes(1024**2), 10_001))
    assert picture is not None
    assert sorted(picture.thumbnails) == [160, 480, 1024]


@pytest.mark.parametrize("cut", [1, 3, 17])
async def test_mutations_are_harmless(cut: int) -> None:
    """A few broken pictures of each format; `look` raises nothing."""
    for data in (encoded(GRADIENT.convert("RGB"), format_) for format_ in ("PNG", "JPEG", "GIF", "WEBP")):
        broken = bytearray(data)
        broken[20 :: len(broken) // cut] = b"\xff" * len(broken[20 :: len(broken) // cut])
        await look(bytes(broken))


@pytest.mark.parametrize(
    ("size", "shrunk"), [((640, 320), (512, 256)), ((300, 600), (256, 512)), ((512, 512), (512, 512)), ((7, 5), (7, 5))]
)
async def test_a_picture_is_shrunk_and_never_enlarged(size: tuple[int, int], shrunk: tuple[int, int]) -> None:
    whole = encoded(Image.new("RGB", size, (200, 100, 50)), "JPEG", comment=b"a-secret-word")
    small = await Pictures(LIMITS).shrink(in_chunks(whole), 512)
    assert small is not None
    assert opened(small).size == shrunk
    assert b"a-secret-word" in whole
    assert b"a-secret-word" not in small


@pytest.mark.parametrize("data", [b"", b"no picture", JPEG[:2000], png(50_000, 50_000), png(30, 30)])
async def test_what_cannot_be_decoded_is_not_shrunk(data: bytes) -> None:
    assert await Pictures(LIMITS).shrink(in_chunks(data), 512) is None
