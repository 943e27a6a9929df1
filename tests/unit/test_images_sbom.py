import json

from images import sbom
from images.debian.system import Installed
from warmroot.release.manifest import Boot, Manifest, Root, Skew

PACKAGES = (
    Installed("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),
    Installed("libc-bin", "2.41-12+b1", "amd64", "glibc", "2.41-12"),
    Installed("PyYAML", "6.0.4", "all", "PyYAML", "6.0.4", kind="pypi"),
    Installed("kubelet", "1.37.2", "amd64", "k8s.io/kubernetes", "1.37.2", kind="golang"),
)


def manifest(version="1.0.0"):
    return Manifest(
        product="worker",
        arch="amd64",
        version=version,
        release_seq=1,
        min_seq=0,
        root=Root(8192, 1, b"\1" * 32, b"\2" * 32),
        boot=Boot(512, b"\3" * 32),
        kernel="6.12",
        kubelet="1.36.2",
        kubernetes=Skew("1.36", "1.39"),
        config_schema=1,
    )


def test_equal_releases_have_equal_bills_and_others_another_serial_number():
    one, same, other = (sbom.write(manifest(v), "trixie", PACKAGES) for v in ("1.0.0", "1.0.0", "1.0.1"))
    assert one == same
    assert json.loads(one)["serialNumber"] != json.loads(other)["serialNumber"]


def test_a_scanner_finds_each_package_and_the_source_that_its_advisories_name():
    parsed = json.loads(sbom.write(manifest(), "trixie", PACKAGES))
    addresses = {part["name"]: part["purl"] for part in parsed["components"]}
    assert addresses["libc-bin"].startswith("pkg:deb/debian/libc-bin@2.41-12%2Bb1?arch=amd64&distro=trixie")
    assert addresses["PyYAML"] == "pkg:pypi/pyyaml@6.0.4"
    assert addresses["kubelet"] == "pkg:golang/k8s.io/kubernetes@v1.37.2#cmd/kubelet"
    assert "upstream=glibc" in addresses["libc-bin"]
    system = parsed["metadata"]["component"]
    assert (system["type"], system["name"], system["version"]) == ("operating-system", "worker", "1.0.0")
