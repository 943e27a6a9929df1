"""What settings may say, and what identifies them."""

import json

import pytest

from warmroot import nodeconfig
from warmroot.api.nodeconfig import ConfigFile, Limit, NodeConfig

WHOLE = {
    "kernelArguments": ["mitigations=auto"],
    "sysctl": {"net.core.somaxconn": "4096"},
    "kubelet": {"maxPods": 200, "evictionHard": {"memory.available": "200Mi"}},
    "containerd": {"plugins": {"io.containerd.grpc.v1.cri": {"registry": {"config_path": "/etc/certs.d"}}}},
    "limits": [{"domain": "*", "type": "soft", "item": "nofile", "value": "65536"}],
    "files": [{"path": "/etc/chrony/chrony.conf", "content": "pool x\n", "restart": ["chrony.service"]}],
}


def refusal(**sections):
    with pytest.raises(ValueError, match=r".") as refused:
        nodeconfig.parse(nodeconfig.encode(sections))
    return str(refused.value)


def one_file(path, **more):
    return [{"path": path, "content": "x", **more}]


def test_the_models_text_is_what_a_node_parses():
    model = NodeConfig.model_validate(WHOLE)
    parsed = nodeconfig.parse(model.text())
    assert parsed.sysctl == WHOLE["sysctl"]
    assert parsed.kubelet == WHOLE["kubelet"]
    assert parsed.containerd == WHOLE["containerd"]
    assert [vars(one) for one in parsed.limits] == WHOLE["limits"]
    assert list(parsed.kernel_arguments) == WHOLE["kernelArguments"]
    (file,) = parsed.files
    assert (file.path, file.mode, file.restart) == ("/etc/chrony/chrony.conf", "0644", ("chrony.service",))


def test_a_revision_is_the_digest_of_what_is_said_not_of_how():
    one = NodeConfig(sysctl={"a.b": "1", "c.d": "2"})
    other = NodeConfig(sysctl={"c.d": "2", "a.b": "1"}, files=(), limits=())
    assert nodeconfig.revision(one.text()) == nodeconfig.revision(other.text())
    assert nodeconfig.revision(one.text()).startswith("sha256:")


def test_nothing_wanted_has_no_revision():
    assert NodeConfig().text() == ""
    assert nodeconfig.revision("") == nodeconfig.NONE
    assert nodeconfig.parse("") == nodeconfig.NodeConfig()


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/../root/x", "/var/x", "/etc", "/etc/", "etc/x", "/etc//x", "/etc/a b", "/etc/x\n"),
        *("/etc/./x", "/etc/passwd", "/etc/shadow", "/etc/warmroot/kubeconfig", "/etc/machine-id"),
        *("/etc/kubernetes/kubelet.conf", "/etc/containerd/config.toml", "/etc/sysctl.d/90-warmroot.conf"),
        "/etc/systemd/system/warmroot-proxy.service",
        "/etc/systemd/system/warmroot-config.service.d/x.conf",
        "/etc/" + "/".join("a" * 9),
    ],
)
def test_a_file_outside_of_what_is_allowed_is_refused(path):
    assert "config.files[0].path" in refusal(files=one_file(path))


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"sysctl": {"a.b; rm": "1"}}, "config.sysctl"),
        ({"sysctl": {"a/../b": "1"}}, "config.sysctl"),
        ({"sysctl": {"a.b": "1\n2"}}, "config.sysctl[a.b]"),
        ({"sysctl": {"a.b": 1}}, "config.sysctl[a.b]"),
        ({"sysctl": ["a"]}, "config.sysctl"),
        ({"kubelet": {"authentication": {}}}, "config.kubelet.authentication belongs to the image"),
        ({"containerd": {"imports": ["/x"]}}, "config.containerd.imports belongs to the image"),
        ({"limits": [{"domain": "a b", "type": "soft", "item": "nofile", "value": "1"}]}, "domain"),
        ({"limits": [{"domain": "", "type": "soft", "item": "nofile", "value": "1"}]}, "domain"),
        ({"limits": [{"domain": "*", "type": "both", "item": "nofile", "value": "1"}]}, "type"),
        ({"limits": [{"domain": "*", "type": "soft", "item": "files", "value": "1"}]}, "item"),
        ({"limits": [{"domain": "*", "type": "soft", "item": "nofile", "value": "many"}]}, "value"),
        ({"limits": [{"domain": "*", "type": "soft", "item": "nofile"}]}, "lacks value"),
        ({"files": one_file("/etc/a", mode="4755")}, "mode"),
        ({"files": one_file("/etc/a", restart=["a;b"])}, "restart"),
        ({"files": one_file("/etc/a", owner="root")}, "unknown owner"),
        ({"files": [*one_file("/etc/a"), *one_file("/etc/a")]}, "one path twice"),
        ({"files": [*one_file("/etc/a"), *one_file("/etc/a/b")]}, "the folder of another"),
        ({"grub": ["quiet"]}, "unknown to this release"),
        ({"kernelArguments": "quiet"}, "config.kernelArguments is not a list"),
        ({"kernelArguments": ["quiet", "a b"]}, "config.kernelArguments[1]"),
        ({"kernelArguments": ['a"']}, "is not one argument"),
        ({"kernelArguments": ["a=$b"]}, "is not one argument"),
        ({"kernelArguments": ["init=/bin/sh"]}, "init belongs to the image"),
        ({"kernelArguments": ["wr.slot=B"]}, "wr.slot belongs to the image"),
        ({"kernelArguments": ["panic=0"]}, "panic belongs to the image"),
        ({"kernelArguments": ["a" * 200, "b" * 200]}, "more than 384 bytes"),
    ],
)
def test_what_no_node_could_carry_out_is_refused_by_name(sections, said):
    assert said in refusal(**sections)


@pytest.mark.parametrize("text", ['{"sysctl": {}}', "[]", "{", "[" * 100_000, '{"sysctl":{"b":"1","a":"1"}}'])
def test_only_the_canonical_text_counts(text):
    with pytest.raises(ValueError, match="config"):
        nodeconfig.parse(text)


def test_what_an_object_of_the_api_could_not_carry_is_refused():
    files = [{"path": f"/etc/a{number}", "content": "x" * 60_000} for number in range(3)]
    assert "bytes" in refusal(files=files)


def test_the_model_refuses_what_a_node_would():
    with pytest.raises(ValueError, match="belongs to the image"):
        NodeConfig(files=(ConfigFile(path="/etc/passwd", content=""),)).text()
    with pytest.raises(ValueError, match="no limit"):
        NodeConfig(limits=(Limit(domain="*", type="-", item="nofile", value="x"),)).text()


def test_every_section_of_the_api_is_one_of_a_node():
    known = {field.alias or name for name, field in NodeConfig.model_fields.items()}
    assert known == set(nodeconfig.SECTIONS)
    assert json.loads(NodeConfig.model_validate(WHOLE).text()).keys() == known
