"""A certificate for development: the original SDKs insist on https."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from services.supervisor.command_error import CommandError
from services.supervisor.private_file import read_private_file, write_private_file

VALID = datetime.timedelta(days=397)
"""As long as browsers accept."""
RENEW_BEFORE = datetime.timedelta(days=30)
NAMES = ("localhost", "127.0.0.1", "::1", "local.pusherplatform.io")


@dataclass(frozen=True)
class DevTls:
    """PEM files; the certificate's holds the chain."""

    ca: Path
    certificate: Path
    key: Path


def dev_tls(folder: Path, extra_names: tuple[str, ...] = (), now: datetime.datetime | None = None) -> DevTls:
    """The development certificate in `folder`, made at first use.

    CA and certificate stay the same until they near their end; the CA also while names are added, so that whoever
    trusts it need not be told again.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    folder.mkdir(mode=0o700, exist_ok=True)
    files = DevTls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    names = (*NAMES, *(name for name in extra_names if name not in NAMES))
    authority = _authority(files.ca, folder / "ca.key", moment)
    if not files.key.exists() or not _serves(files.certificate, authority, names, moment):
        issued = authority.issue_cert(
            *names,
            common_name="localhost",
            organization_name="Roomline development",
            not_before=moment - datetime.timedelta(days=1),
            not_after=moment + VALID,
        )
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        _write_pair(files.certificate, chain, files.key, issued.private_key_pem.bytes())
    return files


def _authority(certificate: Path, key: Path, now: datetime.datetime) -> trustme.CA:
    stored, stored_key = read_private_file(certificate), read_private_file(key)
    if stored and stored_key:
        try:
            if _lasts(x509.load_pem_x509_certificate(stored.encode()), now):
                return trustme.CA.from_pem(stored.encode(), stored_key.encode())
        except ValueError as error:
            raise CommandError(f"{certificate} or {key} is damaged; remove both, and they are made anew") from error
    authority = trustme.CA(organization_name="Roomline development CA")
    _write_pair(certificate, authority.cert_pem.bytes(), key, authority.private_key_pem.bytes())
    return authority


def _write_pair(certificate: Path, certificate_pem: bytes, key: Path, key_pem: bytes) -> None:
    certificate.unlink(missing_ok=True)  # first, so that an interruption leaves no certificate with another's key
    write_private_file(key, key_pem)
    write_private_file(certificate, certificate_pem)


def _serves(certificate: Path, authority: trustme.CA, names: tuple[str, ...], now: datetime.datetime) -> bool:
    stored = read_private_file(certificate)
    if not stored:
        return False
    try:
        parsed = x509.load_pem_x509_certificate(stored.encode())
        parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert_pem.bytes()))
        alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return _lasts(parsed, now) and set(names) <= {str(name.value) for name in alternatives}


def _lasts(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    return certificate.not_valid_after_utc - now > RENEW_BEFORE
