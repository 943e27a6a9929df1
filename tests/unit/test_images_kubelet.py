"""The Kubernetes half of an image: what a recipe may say of it, and what goes into the root with it."""

import hashlib
import json
import tarfile
import threading
import tomllib
from importlib.resources import files

import pytest
import yaml

from images import kubelet, kubelet_modules, pause
from images import recipe as recipes
from images.parts import KubeletProgram
from testbed.controlplane import build
from tests.waiting import until
from warmroot import golang
from warmroot.cache import locked
from warmroot.errors import NotInstalled, UserError

NODE = files("images") / "node"
MODULES = KubeletProgram(modules=True)


def test_a_version_that_our_modules_do_not_pin_is_refused_before_the_long_work():
    with pytest.raises(UserError, match=r"compiles 1\.37\.2, and the recipe names 1\.30\.0"):
        kubelet.check(MODULES, "1.30.0")


def test_without_go_a_recipe_that_compiles_is_refused_and_one_with_a_file_is_not(monkeypatch, tmp_path):
    monkeypatch.setattr(golang, "find", lambda wanted, cache: None)
    with pytest.raises(NotInstalled, match=r"kubeletProgram\.file"):
        kubelet.check(MODULES, kubelet.VERSION)
    kubelet.check(KubeletProgram(file=tmp_path / "kubelet"), "1.30.0")


def test_a_kubelet_that_is_compiled_says_what_it_does_and_one_that_waits_says_so(monkeypatch, tmp_path):
    go = tmp_path / "go"
    go.write_text(
        "#!/bin/sh\n"
        "echo k8s.io/api/core/v1; echo k8s.io/kubernetes/cmd/kubelet\n"
        'while [ "$1" != -o ]; do shift; done\n'
        f"printf '#!/bin/sh\\necho Kubernetes v{kubelet.VERSION}\\n' >$2; chmod +x $2\n"
    )
    go.chmod(0o755)
    monkeypatch.setattr(golang, "find", lambda wanted, cache: golang.Go(go, "go version go1.99.0 test"))
    said = []
    kubelet_modules.compiled(tmp_path / "cache", said.append)
    assert said == ["k8s.io/api/core/v1", "k8s.io/kubernetes/cmd/kubelet"]
    with locked(tmp_path / "cache" / "kubelet" / "lock", lambda: None):
        waiting = threading.Thread(
            target=kubelet_modules.compiled, args=(tmp_path / "cache", said.append), daemon=True
        )
        waiting.start()
        until(lambda: len(said) == 3)
    waiting.join()
    assert said[2] == "another process compiles it; this one waits"


def test_our_modules_pin_the_version_that_we_name_and_that_the_test_beds_control_plane_has():
    pinned = (files("images") / "kubelet_modules" / "go.mod").read_text()
    assert f"require k8s.io/kubernetes v{kubelet.VERSION}\n" in pinned
    assert f"v{kubelet.VERSION}" == build.VERSION


def test_the_shipped_worker_has_the_kubelet_that_its_manifest_names():
    recipe = recipes.find("debian-worker")
    assert recipe.kubelet_program is not None
    kubelet.check(recipe.kubelet_program, recipe.kubelet)
    major_minor = ".".join(recipe.kubelet.split(".")[:2])
    assert recipe.kubernetes.min == major_minor, "a kubelet serves no control plane that is older than it"


def test_kubelet_and_containerd_agree_on_socket_cgroups_and_pause_image():
    settings = yaml.safe_load((NODE / "kubelet.yaml").read_text())
    cri = tomllib.loads((NODE / "containerd.toml").read_text())["plugins"]["io.containerd.grpc.v1.cri"]
    assert settings["cgroupDriver"] == "systemd"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True
    assert cri["sandbox_image"] == pause.NAME
    assert settings["authentication"]["anonymous"]["enabled"] is False
    linked = [
        line.split()[1] for line in (NODE / "cni.conf").read_text().splitlines() if line.startswith("L")
    ]
    assert {path.rpartition("/")[0] for path in linked} == {"/var/opt/cni/bin"}
    assert cri["cni"]["bin_dir"] == "/opt/cni/bin"


def test_the_pause_image_is_a_whole_layout_and_the_same_each_time(tmp_path):
    (tmp_path / "program").write_bytes(b"\x7fELF and so on")
    for name in ("first", "second"):
        pause.write(tmp_path / "program", tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with tarfile.open(tmp_path / "first") as archive:
        content = {one.name: archive.extractfile(one).read() for one in archive.getmembers()}
    blobs = {name: data for name, data in content.items() if name.startswith("blobs/")}
    assert {name.rpartition("/")[2] for name in blobs} == {
        hashlib.sha256(data).hexdigest() for data in blobs.values()
    }
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == pause.NAME
    manifest = json.loads(blob(content, entry["digest"]))
    config = json.loads(blob(content, manifest["config"]["digest"]))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def blob(content, digest):
    return content[f"blobs/{digest.replace(':', '/')}"]
