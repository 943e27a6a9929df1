import io
import shutil
import subprocess

import pytest

from warmroot.errors import Endless, Tampered, Truncated
from warmroot.release import verity
from warmroot.release.verity import BLOCK, FIXED, Tree, build, tree_size

SALT = bytes.fromhex("5a17" * 16)


def data_of(blocks: int) -> bytes:
    """No two blocks are alike."""
    return b"".join((blocks + number).to_bytes(8, "big") * (BLOCK // 8) for number in range(blocks))


def tree_over(data: bytes) -> Tree:
    return build(io.BytesIO(data), data_blocks=len(data) // BLOCK, salt=SALT)


def decode(data: bytes, tree: Tree) -> Tree:
    return Tree.decode(data, data_blocks=tree.data_blocks, salt=tree.salt, root_hash=tree.root_hash)


@pytest.mark.verity
@pytest.mark.skipif(shutil.which("veritysetup") is None, reason="veritysetup is not installed")
@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 16384, 16385])
def test_tree_is_byte_identical_to_veritysetups(tmp_path, blocks):
    image = tmp_path / "image"
    data = data_of(blocks)
    image.write_bytes(data)
    said = subprocess.run(
        ["veritysetup", "format", image, image, f"--hash-offset={len(data)}", f"--salt={SALT.hex()}",
         f"--uuid={FIXED}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    tree = tree_over(data)
    assert f"Root hash:      \t{tree.root_hash.hex()}" in said
    assert tree.encode() == image.read_bytes()[len(data) :]


@pytest.mark.verity
@pytest.mark.skipif(shutil.which("veritysetup") is None, reason="veritysetup is not installed")
def test_veritysetup_verifies_our_image_and_sees_a_flipped_bit(tmp_path):
    image = tmp_path / "image"
    data = data_of(130)
    tree = tree_over(data)
    image.write_bytes(data + tree.encode())
    verify = ["veritysetup", "verify", image, image, f"--hash-offset={len(data)}", tree.root_hash.hex()]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0
    with image.open("r+b") as file:
        file.seek(129 * BLOCK)
        file.write(bytes([data[129 * BLOCK] ^ 1]))
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize("blocks", [1, 2, 128, 129, 400])
def test_tree_decodes_to_itself_and_knows_its_size(blocks):
    tree = tree_over(data_of(blocks))
    encoded = tree.encode()
    assert decode(encoded, tree) == tree
    assert len(encoded) == tree_size(blocks)


@pytest.mark.parametrize("blocks", [1, 2, 129])
def test_any_changed_byte_of_an_encoded_tree_is_tampered(blocks):
    tree = tree_over(data_of(blocks))
    encoded = tree.encode()
    for at in {0, 16, 31, 70, 88, 4095, *range(4096, len(encoded), 997), len(encoded) - 1}:
        bent = bytearray(encoded)
        bent[at] ^= 1
        with pytest.raises(Tampered):
            decode(bytes(bent), tree)


def test_short_and_long_trees_have_their_own_errors():
    tree = tree_over(data_of(3))
    with pytest.raises(Truncated):
        decode(tree.encode()[:-1], tree)
    with pytest.raises(Endless):
        decode(tree.encode() + b"\0", tree)


def test_a_tree_for_another_root_hash_is_tampered():
    one, other = tree_over(data_of(2)), tree_over(data_of(3)[BLOCK:])
    with pytest.raises(Tampered):
        Tree.decode(one.encode(), data_blocks=2, salt=SALT, root_hash=other.root_hash)


def test_leaves_are_the_hashes_of_the_blocks():
    data = data_of(130)
    tree, hash_of = tree_over(data), verity.block_hash(SALT)
    assert [tree.leaf(i) for i in (0, 128, 129)] == [
        hash_of(data[i * BLOCK : (i + 1) * BLOCK]) for i in (0, 128, 129)
    ]
    with pytest.raises(IndexError):
        tree.leaf(130)


def test_a_stream_of_uneven_pieces_gives_the_same_tree_as_the_file():
    data = data_of(9)
    pieces = [memoryview(data)[: BLOCK * 2], memoryview(data)[BLOCK * 2 : BLOCK * 9]]
    assert build(pieces, data_blocks=9, salt=SALT) == tree_over(data)


def test_missing_and_surplus_blocks_are_named():
    with pytest.raises(Truncated):
        build(io.BytesIO(data_of(2) + b"half"), data_blocks=3, salt=SALT)
    with pytest.raises(Endless):
        build([data_of(3)], data_blocks=2, salt=SALT)
