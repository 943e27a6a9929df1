import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.unit.release_server import serving
from warmroot.errors import Endless, NetworkError, Tampered, Truncated, Unknown, UserError
from warmroot.release.source import (
    CHUNK,
    FileSource,
    HttpSource,
    Mirrors,
    Patience,
    Tls,
    open_source,
    open_sources,
    try_each,
)

DATA = os.urandom(3 * CHUNK // 2)
QUICK = Patience(window=0.1, floor=10_000)
IMPATIENT = Patience(silence=0.3)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x+1.img").write_bytes(DATA)
    return tmp_path


@pytest.fixture
def server(folder):
    with serving(folder) as (url, knobs):
        yield HttpSource(url, patience=QUICK), knobs


@pytest.fixture(params=["http", "file"])
def source(request, folder):
    if request.param == "file":
        yield FileSource(folder)
    else:
        with serving(folder) as (url, _):
            yield HttpSource(url)


PATH = "blobs/x+1.img"


def ranged(source, start, length):
    return b"".join(source.read_range(PATH, start, length))


def test_a_file_is_read_whole(source):
    assert source.read(PATH, len(DATA)) == DATA


def test_a_range_is_read_in_small_pieces(source):
    pieces = list(source.read_range(PATH, 7, len(DATA) - 9))
    assert b"".join(pieces) == DATA[7:-2]
    assert max(map(len, pieces)) <= CHUNK


def test_an_empty_range_is_empty(source):
    assert ranged(source, 5, 0) == b""


def test_one_byte_too_many_is_endless(source):
    with pytest.raises(Endless):
        source.read(PATH, len(DATA) - 1)


@pytest.mark.parametrize("start", [0, 100, len(DATA), len(DATA) + 1])
def test_a_range_beyond_the_end_is_truncated(source, start):
    with pytest.raises(Truncated):
        ranged(source, start, len(DATA) + 1)


def test_a_missing_file_is_unknown(source):
    with pytest.raises(Unknown):
        source.read("blobs/none", 10)
    with pytest.raises(Unknown):
        list(source.read_range("blobs/none", 0, 10))
    with pytest.raises(Unknown):
        source.read(PATH + "/deeper", 10)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a//b", "a/./b", "", "a\\b"])
def test_a_path_out_of_the_repository_is_tampered(source, path):
    with pytest.raises(Tampered):
        source.read(path, 10)


def test_a_body_shorter_than_announced_is_truncated(server):
    source, knobs = server
    knobs.announce = len(DATA) + 1
    with pytest.raises(Truncated):
        source.read(PATH, len(DATA) + 1)


def test_a_range_that_stops_early_is_truncated_and_what_came_is_kept(server):
    source, knobs = server
    knobs.bend, knobs.announce = lambda data: data[:1000], 5000
    got = []
    with pytest.raises(Truncated):
        got.extend(source.read_range(PATH, 0, 5000))
    assert b"".join(got) == DATA[:1000]


def test_an_announced_flood_is_refused_before_it_comes(server):
    source, knobs = server
    knobs.announce = 10**12
    with pytest.raises(Endless, match="announces"):
        source.read(PATH, 1000)


def test_a_flood_without_length_is_endless(server):
    source, knobs = server
    knobs.announce = "none"
    with pytest.raises(Endless):
        source.read(PATH, 1000)


def test_a_range_with_a_flood_behind_it_is_endless(server):
    source, knobs = server
    knobs.announce, knobs.bend = "none", lambda data: data + b"more"
    with pytest.raises(Endless):
        ranged(source, 10, 20)


def test_a_server_that_ignores_ranges_is_tampered(server):
    source, knobs = server
    knobs.ignore_ranges = True
    with pytest.raises(Tampered, match="ignores ranges"):
        ranged(source, 10, 20)
    assert ranged(source, 0, len(DATA)) == DATA


def test_another_range_than_asked_is_tampered(server):
    source, knobs = server
    knobs.shift_ranges = 1
    with pytest.raises(Tampered):
        ranged(source, 10, 20)


def test_a_trickle_is_a_network_error(server):
    source, knobs = server
    knobs.trickle = 0.01
    with pytest.raises(NetworkError, match="stalls"):
        source.read(PATH, len(DATA))


def test_silence_is_a_network_error(folder):
    with serving(folder) as (url, knobs):
        knobs.trickle = 60
        with pytest.raises(NetworkError, match="in time"):
            HttpSource(url, patience=IMPATIENT).read(PATH, len(DATA))


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_server_in_trouble_is_a_network_error(server, status):
    source, knobs = server
    knobs.status = status
    with pytest.raises(NetworkError, match=str(status)):
        source.read(PATH, 10)


def test_nobody_there_is_a_network_error():
    with pytest.raises(NetworkError):
        HttpSource("http://127.0.0.1:1", patience=QUICK).read(PATH, 10)


def test_credentials_in_the_address_are_not_shown():
    assert HttpSource("https://me:secret@host/x/").describe == "https://host/x"


def test_a_plus_is_escaped_on_its_way(server):
    source, knobs = server
    with pytest.raises(Unknown):
        source.read("a+b", 10)
    assert knobs.seen[-1][0] == "/a%2Bb"


@pytest.mark.parametrize("url", ["", "ftp://x/y", "https://", "file://host/x", "s3://bucket"])
def test_an_address_of_no_known_kind_is_the_users_error(url):
    with pytest.raises(UserError, match="release source"):
        open_source(url)


def test_a_file_address_is_unquoted(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "f").write_bytes(b"1")
    source = open_source(f"file://{tmp_path}/a%20b")
    assert source.read("f", 1) == b"1"
    assert source.describe.endswith("/a%20b")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority and a certificate of it that server and client share; gives (folder, server context)."""
    folder = tmp_path_factory.mktemp("pki")
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in ("ca", "end")}
    for who, key in keys.items():
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) if who == "end" else name
        certificate = (
            x509.CertificateBuilder(name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
            .sign(keys["ca"], hashes.SHA256())
        )
        (folder / f"{who}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{who}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "end.crt", folder / "end.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return folder, context


def test_tls_with_our_authority_and_our_certificate_is_served(pki, folder):
    files, context = pki
    tls = Tls(*(str(files / name) for name in ("ca.crt", "end.crt", "end.key")))
    with serving(folder, context) as (url, _):
        assert open_source(url, tls=tls).read(PATH, len(DATA)) == DATA


@pytest.mark.parametrize("files", [(), ("ca.crt",)])
def test_tls_without_trust_on_either_side_is_a_network_error(pki, folder, files):
    tls = Tls(*(str(pki[0] / name) for name in files))
    with serving(folder, pki[1]) as (url, _), pytest.raises(NetworkError):
        open_source(url, tls=tls).read(PATH, len(DATA))


class Fake:
    """A source that gives some bytes of a range, then fails."""

    def __init__(self, name, data=b"", error=None):
        self.describe, self.data, self.error = name, data, error

    def read(self, path, max_bytes):
        if self.error:
            raise self.error
        return self.data

    def read_range(self, path, start, length):
        yield self.data[start : start + length]
        if self.error:
            raise self.error


def test_mirrors_fall_through_and_remember_who_failed():
    broken = NetworkError("refused")
    mirrors = Mirrors([Fake("one", error=broken), Fake("two", b"data")])
    assert mirrors.read("f", 9) == b"data"
    assert mirrors.errors == [("one", broken)]


def test_a_mirror_goes_on_where_the_last_one_stopped():
    mirrors = Mirrors([Fake("one", b"0123", Truncated("cut")), Fake("two", b"0123456789")])
    assert b"".join(mirrors.read_range("f", 2, 6)) == b"234567"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((Unknown("u"), NetworkError("n"), Tampered("t")), Tampered),
        ((Unknown("u"), NetworkError("n")), NetworkError),
        ((Unknown("u"), Unknown("v")), Unknown),
    ],
)
def test_when_all_mirrors_fail_the_worst_is_raised_and_all_are_named(errors, expected):
    sources = [Fake(str(n), error=error) for n, error in enumerate(errors)]
    with pytest.raises(expected) as raised:
        Mirrors(sources).read("f", 1)
    assert all(f"{n}: {error.reason}: " in raised.value.message for n, error in enumerate(errors))
    with pytest.raises(expected):
        list(Mirrors(sources).read_range("f", 0, 1))


def test_try_each_asks_the_next_source_when_content_is_wrong():
    def judge(source):
        if source.read("f", 9) != b"good":
            raise Tampered("bad content")
        return source.describe

    assert try_each([Fake("one", b"bad"), Fake("two", b"good")], judge) == "two"


def test_no_source_at_all_is_the_users_error():
    with pytest.raises(UserError):
        open_sources([])
