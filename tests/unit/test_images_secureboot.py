"""Secure Boot: what is made is what firmware reads, and keys that cannot sign are named before a build."""

import datetime
import shutil
import struct
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from typer.testing import CliRunner

from images import cli, grub
from images import recipe as recipes
from images import tree as trees
from images.disk import install
from images.secureboot import keys, loaders, programs, signing, variables
from tests.unit.efi_programs import program, shim
from tests.unit.test_images_recipe import tree, worker
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB
from warmroot.errors import StepFailed, UserError

SIGNS = pytest.mark.skipif(shutil.which(signing.TOOL) is None, reason="osslsigncode is not installed")
VERIFIES = pytest.mark.skipif(shutil.which("sbverify") is None, reason="sbsigntool is not installed")
FAT = pytest.mark.skipif(
    not all(map(shutil.which, ("mcopy", "mkfs.fat"))), reason="mtools or dosfstools is not installed"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure-boot") / "keys"
    keys.create(folder, "Example Bank")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy to spoil."""
    shutil.copytree(made, tmp_path / "keys")
    return tmp_path / "keys"


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_secrets_are_for_their_owner_alone_and_certificates_say_whose_they_are(made):
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.glob("*.key")} == {0o600}
    certificate = x509.load_pem_x509_certificate((made / "db.pem").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=Example Bank db"
    assert certificate.public_bytes(Encoding.DER) == (made / "db.cer").read_bytes()


def test_keys_are_never_overwritten(made):
    before = (made / "db.key").read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        keys.create(made, "somebody")
    assert (made / "db.key").read_bytes() == before


def test_one_command_makes_them_and_says_what_goes_offline(tmp_path):
    done = CliRunner().invoke(cli.app, ["create-keys", str(tmp_path / "keys"), "--owner", "Example Bank"])
    assert done.exit_code == 0
    assert "PK.key and KEK.key offline" in done.output
    assert keys.load(tmp_path / "keys").key.exists()


def test_a_build_needs_no_key_but_that_of_db(folder):
    for name in ("PK", "KEK"):
        (folder / f"{name}.key").unlink()
    assert keys.load(folder) == keys.SigningKey(folder / "db.key", folder / "db.pem")


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("db.key", lambda path: path.unlink(), r"db\.key can't be read"),
        ("db.pem", lambda path: path.unlink(), r"db\.pem can't be read"),
        ("db.key", lambda path: path.chmod(0o640), "is open to others"),
        ("db.key", lambda path: path.write_text("no key"), "is not a private key"),
        ("db.pem", lambda path: path.write_text("no certificate"), "is not a certificate"),
        (
            "db.key",
            lambda path: path.write_bytes(
                pem(load_pem_private_key(path.read_bytes(), None), BestAvailableEncryption(b"x"))
            ),
            "is encrypted",
        ),
        (
            "db.key",
            lambda path: path.write_bytes(pem(rsa.generate_private_key(65537, 1024))),
            "not an RSA key of 2048 bits",
        ),
        (
            "db.key",
            lambda path: path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1()))),
            "not an RSA key",
        ),
        ("db.pem", lambda path: shutil.copy(path.with_name("KEK.pem"), path), "is not the certificate of"),
    ],
    ids=[
        "no key",
        "no certificate",
        "open to others",
        "garbage for a key",
        "garbage for a certificate",
        "encrypted",
        "short",
        "elliptic",
        "of another key",
    ],
)
def test_keys_that_cannot_sign_are_named_before_anything_is_built(folder, name, spoil, says):
    spoil(folder / name)
    recipe = recipes.parse(worker(secureBoot={"keys": str(folder)}))
    with pytest.raises(UserError, match=says):
        trees.check(recipe)


def test_a_recipe_names_the_folder_of_its_keys_and_has_a_system_to_sign(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(worker(secureBoot={"keys": "bank"})))
    assert recipes.load(path).secure_boot.keys == tmp_path / "bank"
    with pytest.raises(UserError, match=r"secureBoot\.key: .* mean keys\?"):
        recipes.parse(worker(secureBoot={"key": "bank"}))
    with pytest.raises(UserError, match="secureBoot needs debian"):
        recipes.parse(tree(secureBoot={"keys": "bank"}))


@pytest.mark.parametrize(("name", "signer"), [("PK", "PK"), ("KEK", "PK"), ("db", "KEK")])
def test_a_variable_is_signed_over_its_name_its_time_and_its_value_by_who_may_change_it(made, name, signer):
    data = (made / f"{name}.auth").read_bytes()
    length, revision, kind = struct.unpack_from("<IHH", data, 16)
    signature, value = data[40 : 16 + length], data[16 + length :]
    assert (revision, kind) == (0x0200, 0x0EF1)
    assert signature[:1] == b"\x30"
    assert signature[4:7] == b"\x02\x01\x01", "SignedData, without an envelope"
    certificate = x509.load_pem_x509_certificate((made / f"{name}.pem").read_bytes())
    assert value == variables.signature_list(certificate)
    namespace = {"db": "cbb219d73a3d9645a3bcdad00e67656f"}.get(name, "61dfe48bca93d211aa0d00e098032b8c")
    said = name.encode("utf-16-le") + bytes.fromhex(namespace) + b"\x27\0\0\0" + data[:16] + value
    public = x509.load_pem_x509_certificate((made / f"{signer}.pem").read_bytes()).public_key()
    public.verify(signature[-256:], said, PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature[-256:], said[:-1] + bytes([said[-1] ^ 1]), PKCS1v15(), SHA256())


def test_the_time_of_a_change_is_as_firmware_writes_it(made):
    certificate = x509.load_pem_x509_certificate((made / "PK.pem").read_bytes())
    key = load_pem_private_key((made / "PK.key").read_bytes(), None)
    at = datetime.datetime(2026, 11, 29, 8, 5, 7, 999, tzinfo=datetime.UTC)
    changed = variables.change("PK", certificate, certificate, key, at)
    assert changed[:16] == struct.pack("<H", 2026) + bytes([11, 29, 8, 5, 7]) + bytes(9)


def test_sections_are_found_by_name_however_long():
    made = program({".text": b"code", ".a-long-name": b"abc", ".sbat": b"sbat,1"})
    assert programs.section(made, ".a-long-name")[1] == b"abc"
    at, data = programs.section(made, ".sbat")
    assert made[at : at + len(data)] == data == b"sbat,1"
    with pytest.raises(StepFailed, match=r"no section \.none"):
        programs.section(made, ".none")
    with pytest.raises(StepFailed, match="not an EFI program"):
        programs.section(b"text", ".sbat")


def test_shim_loses_its_vendors_certificate_and_nothing_else():
    before = shim()
    after = programs.without_vendor(before)
    at, table = programs.section(after, ".vendor_cert")
    assert struct.unpack_from("<4I", table) == (0, 7, 16, 29)
    assert after[:at] + after[at + 4 :] == before[:at] + before[at + 4 :]


@pytest.mark.parametrize(
    "table",
    [(1, 1, 64, 65), (1, 1, 16, 18), (1, 100, 16, 17), (1, 0, 16, 17)],
    ids=["place", "gap", "long", "empty"],
)
def test_a_shim_whose_lists_are_not_as_we_know_them_is_left_alone(table):
    with pytest.raises(StepFailed, match="unknown form"):
        programs.without_vendor(program({".vendor_cert": struct.pack("<4I", *table) + b"cd"}))


@pytest.mark.parametrize(("ours", "accepted"), [(4, False), (5, True), (6, True)])
def test_grub_that_shim_would_refuse_is_refused_when_it_is_built(tmp_path, ours, accepted):
    path = tmp_path / "x86_64-efi/monolithic/grubx64.efi"
    path.parent.mkdir(parents=True)
    path.write_bytes(program({".sbat": f"sbat,1,x\ngrub,{ours},Free Software Foundation,grub\n".encode()}))
    if accepted:
        assert f"\ngrub,{ours}," in loaders.security_level(shim(), tmp_path)
        return
    with pytest.raises(UserError, match="generation 4, and shim starts none below 5"):
        loaders.security_level(shim(), tmp_path)


def test_grub_reads_no_settings_and_no_loose_kernel_of_a_slot_that_is_signed():
    scripts = grub.scripts(signed=True)
    assert scripts.keys() == grub.scripts().keys()
    words = [
        line.split() for text in scripts.values() for line in text.splitlines() if line.strip()[:1] != "#"
    ]
    sourced = {line[1] for line in words if line[:1] == ["source"]}
    assert sourced == {"$prefix/decide.cfg", "$prefix/start.cfg"}, "both are in the signed program"
    assert not {"linux", "initrd", "configfile", "insmod"} & {word for line in words for word in line}
    assert ["set", "superusers=nobody"] in words


@SIGNS
def test_equal_programs_and_keys_give_equal_signatures(made):
    key = keys.load(made)
    first, second = (signing.sign(shim(), key) for _ in range(2))
    assert first == second != signing.sign(shim(certificate=b"another"), key)


@SIGNS
@VERIFIES
def test_what_is_signed_verifies_and_one_changed_byte_does_not(made, tmp_path):
    signed = signing.sign(shim(), keys.load(made))
    at, _ = programs.section(signed, ".text")
    changed = signed[:at] + b"C" + signed[at + 1 :]
    for name, data, status in (("whole", signed, 0), ("changed", changed, 1)):
        (tmp_path / name).write_bytes(data)
        words = ["sbverify", "--cert", made / "db.pem", tmp_path / name]
        assert subprocess.run(words, capture_output=True, check=False).returncode == status


@FAT
def test_a_signed_disk_has_both_loaders_for_uefi_and_nothing_for_bios(tmp_path):
    planned = layout.plan(boot_size=MIB, root_size=MIB, data_size=MIB, esp_size=4 * MIB)
    signed = loaders.SignedLoaders(shim=b"MZ shim", grub=b"MZ grub")
    install(tmp_path / "disk", planned, {}, BootRecord(1, Slot.A), grub=signed)
    data = (tmp_path / "disk").read_bytes()
    assert not any(data[:440])
    assert not any(data[planned[layout.BIOS_GRUB].start : planned[layout.BIOS_GRUB].end])
    esp = f"{tmp_path / 'disk'}@@{planned[layout.ESP].start}"
    for name, content in (("BOOTX64.EFI", b"MZ shim"), ("grubx64.efi", b"MZ grub")):
        read = subprocess.run(["mtype", "-i", esp, f"::/EFI/BOOT/{name}"], capture_output=True, check=True)
        assert read.stdout == content
