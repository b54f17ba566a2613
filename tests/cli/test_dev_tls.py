"""The development CA and certificate."""

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from services.supervisor.command_error import CommandError
from services.supervisor.dev_tls import NAMES, RENEW_BEFORE, VALID, DevTls, dev_tls

DAY = datetime.timedelta(days=1)


def contents(files: DevTls) -> tuple[bytes, bytes, bytes]:
    return files.ca.read_bytes(), files.certificate.read_bytes(), files.key.read_bytes()


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def test_made_once_and_kept(tmp_path: Path) -> None:
    first = contents(dev_tls(tmp_path / "tls"))
    assert contents(dev_tls(tmp_path / "tls")) == first


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    dev_tls(tmp_path / "tls")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o600, "ca.key": 0o600, "server.pem": 0o600, "server.key": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_renewed_near_its_end_under_the_same_ca(tmp_path: Path) -> None:
    ca, certificate, _ = contents(dev_tls(tmp_path))
    later = now() + VALID - RENEW_BEFORE
    assert contents(dev_tls(tmp_path, now=later - DAY))[1] == certificate
    renewed = dev_tls(tmp_path, now=later + DAY)
    assert renewed.ca.read_bytes() == ca
    assert renewed.certificate.read_bytes() != certificate


def test_a_new_ca_makes_a_new_certificate(tmp_path: Path) -> None:
    ca, certificate, _ = contents(dev_tls(tmp_path))
    far = x509.load_pem_x509_certificate(ca).not_valid_after_utc - DAY
    renewed = dev_tls(tmp_path, now=far)
    assert renewed.ca.read_bytes() != ca
    assert renewed.certificate.read_bytes() != certificate


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key", "server.pem", "server.key"])
def test_what_is_lost_is_made_anew_and_fits(tmp_path: Path, lost: str) -> None:
    dev_tls(tmp_path)
    (tmp_path / lost).unlink()
    files = dev_tls(tmp_path)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.certificate, files.key)
    leaf, authority = map(x509.load_pem_x509_certificate, (files.certificate.read_bytes(), files.ca.read_bytes()))
    leaf.verify_directly_issued_by(authority)


def test_names_can_be_added(tmp_path: Path) -> None:
    ca, certificate, _ = contents(dev_tls(tmp_path))
    files = dev_tls(tmp_path, ("us1.pusherplatform.io",))
    assert files.ca.read_bytes() == ca
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {*NAMES, "us1.pusherplatform.io"}
    assert files.certificate.read_bytes() != certificate


def test_a_damaged_ca_is_told(tmp_path: Path) -> None:
    dev_tls(tmp_path)
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(CommandError, match="remove both"):
        dev_tls(tmp_path)
