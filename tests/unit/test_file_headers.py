"""Names and types of files in headers (RFC 6266, RFC 8187)."""

from urllib.parse import unquote

import pytest

from services.common.file_headers import content_disposition, content_type


def names(header: str) -> tuple[str, str]:
    """The two names in a header, which must be one line of ASCII."""
    assert header.isascii()
    assert header.isprintable()
    kind, plain, extended = header.split("; ", 2)
    assert kind == "attachment"
    assert plain.startswith('filename="')
    assert plain.endswith('"')
    assert extended.startswith("filename*=UTF-8''")
    assert not set(plain[10:-1]) & set('"\\%')
    return plain[10:-1], unquote(extended[17:], errors="strict")


@pytest.mark.parametrize(
    ("name", "plain", "extended"),
    [
        ("report.pdf", "report.pdf", "report.pdf"),
        ("my report (1).pdf", "my report (1).pdf", "my report (1).pdf"),
        ("na\u00efve \U0001f600.txt", "na_ve _.txt", "na\u00efve \U0001f600.txt"),
        ('say "hi" 100%.txt', "say _hi_ 100_.txt", 'say "hi" 100%.txt'),
        ("a;b=c,d'e*.txt", "a;b=c,d'e*.txt", "a;b=c,d'e*.txt"),
        ("../../etc/passwd", "_.._etc_passwd", "_.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd", "_etc_passwd"),
        ("C:\\temp\\x.exe", "C:_temp_x.exe", "C:_temp_x.exe"),
        (".bashrc", "bashrc", "bashrc"),
        (" . x . ", "x", "x"),
        ("photo\u202egpj.exe", "photogpj.exe", "photogpj.exe"),
        ("a\0b\r\nSet-Cookie: x\x7f.txt", "abSet-Cookie: x.txt", "abSet-Cookie: x.txt"),
        ("\u200b\ufeff\u2066x", "x", "x"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "________",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("", "file", "file"),
        ("...", "file", "file"),
        ("\x00\x1b", "file", "file"),
    ],
)
def test_a_name_is_harmless(name: str, plain: str, extended: str) -> None:
    assert names(content_disposition("attachment", name)) == (plain, extended)


@pytest.mark.parametrize("name", ["x" * 5000 + ".pdf", "\U0001f600" * 1000 + ".pdf", "x/" * 2000 + "y.pdf"])
def test_a_long_name_is_cut_before_its_extension(name: str) -> None:
    _, extended = names(content_disposition("attachment", name))
    assert extended.endswith(".pdf")
    assert 200 < len(extended.encode()) <= 255


@pytest.mark.parametrize("name", ["x." + "y" * 5000, "." + "y" * 5000])
def test_a_long_extension_is_none(name: str) -> None:
    _, extended = names(content_disposition("attachment", name))
    assert len(extended) == 255


def test_a_file_can_be_shown_in_place() -> None:
    assert content_disposition("inline", "x").startswith('inline; filename="x"')


@pytest.mark.parametrize(
    "stored",
    [
        *(
            "image/png",
            "application/vnd.ms-excel.sheet.macroEnabled.12",
            "image/jif",
            "IMAGE/PNG",
            "file/x-pusher-file",
        ),
        *("text/plain; charset=utf-8", "text/plain;charset=utf-8", 'text/x; a="b c"; d=e'),
    ],
)
def test_a_type_is_told_as_stored(stored: str) -> None:
    assert content_type(stored) == stored


@pytest.mark.parametrize(
    "stored",
    [
        *(
            "",
            "image",
            "image/",
            "/png",
            "a/b/c",
            "image png",
            "text/html\r\nSet-Cookie: x",
            "text/html\n",
            "a/b;",
            "a/b; c",
        ),
        *("a/b; c=\u00e9", "\u00e9/b", "a/b\0", 'a/b; c="d', "a/" + "b" * 300, "a/b" + "; c=d" * 100),
    ],
)
def test_what_is_no_type_is_bytes(stored: str) -> None:
    assert content_type(stored) == "application/octet-stream"
