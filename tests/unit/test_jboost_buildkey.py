import json
from dataclasses import replace

import pytest

from jboost_server.core.buildkey import MAX_CLASS_PATH, MAX_KEY, Collectors, Jar, decode, differences
from jboost_server.core.outcome import Outcome
from tests.jboost_world import JAR, KEY, LIB
from warmroot.errors import BadKey, TooLarge


def bent(change) -> bytes:
    tree = json.loads(KEY.encode())
    change(tree)
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def test_a_key_decodes_to_itself():
    assert decode(KEY.encode()) == KEY


def test_a_keys_name_is_hex_only_and_does_not_change_between_versions():
    assert KEY.digest == "d38eb01d86f0fb2891f335575d6c2f7307632327d8a6236faee3ba0e5bc442e8"


def test_equal_keys_have_no_differences():
    assert differences(KEY, decode(KEY.encode())) == ()


@pytest.mark.parametrize(
    ("pod", "outcome", "says"),
    [
        (replace(KEY, jvm=replace(KEY.jvm, libjvm="9" * 40)), Outcome.BUILD, "libjvm"),
        (replace(KEY, jvm=replace(KEY.jvm, modules_size=1)), Outcome.BUILD, "modules_size"),
        (replace(KEY, jvm=replace(KEY.jvm, arch="arm64")), Outcome.BUILD, "arm64"),
        (replace(KEY, ergonomics=replace(KEY.ergonomics, compressed_oops=False)), Outcome.COOPS, "False"),
        (replace(KEY, ergonomics=replace(KEY.ergonomics, large_heap=True)), Outcome.COOPS, "large_heap"),
        (replace(KEY, ergonomics=replace(KEY.ergonomics, collectors=Collectors.Z)), Outcome.GC, "pod z"),
        (replace(KEY, class_path=(LIB, JAR)), Outcome.CLASSPATH, "entry 1"),
        (replace(KEY, class_path=(JAR,)), Outcome.CLASSPATH, "archive has 2 entries, pod 1"),
        (replace(KEY, class_path=(JAR, replace(LIB, mtime=1))), Outcome.CLASSPATH, "spring.jar: mtime"),
        (replace(KEY, module_options=("--add-opens=a/b=c",)), Outcome.MODULE_OPTS, "archive none"),
        (replace(KEY, agents=("jdwp",)), Outcome.AGENT, "pod jdwp"),
        (replace(KEY, cpu=("avx2",)), Outcome.CPU, "avx2"),
    ],
)
def test_each_part_that_differs_has_its_own_outcome_and_is_named(pod, outcome, says):
    (difference,) = differences(KEY, pod)
    assert difference.outcome is outcome
    assert says in difference.what


def test_a_changed_jar_of_the_same_size_and_mtime_differs():
    pod = replace(KEY, class_path=(replace(JAR, fingerprint="f" * 64), LIB))
    assert [(d.outcome, d.what.split(":")[0:2]) for d in differences(KEY, pod)] == [
        (Outcome.CLASSPATH, ["/app/app.jar", " fingerprint"])
    ]


def test_the_gravest_difference_comes_first():
    pod = replace(KEY, jvm=replace(KEY.jvm, feature=25), agents=("jdwp",), cpu=("avx2",))
    assert [d.outcome for d in differences(KEY, pod)] == [Outcome.BUILD, Outcome.AGENT, Outcome.CPU]


@pytest.mark.parametrize(
    ("option", "family"),
    [
        ("G1", Collectors.CLASSIC),
        ("UseSerialGC", Collectors.CLASSIC),
        ("ParallelGC", Collectors.CLASSIC),
        ("ZGC", Collectors.Z),
        ("UseZGC", Collectors.Z),
    ],
)
def test_collectors_whose_archives_are_interchangeable_are_one_family(option, family):
    assert Collectors.of(option) is family


def test_an_unknown_collector_is_not_guessed_at():
    with pytest.raises(ValueError, match="CMS"):
        Collectors.of("CMS")


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (b"", "not a build key"),
        (b"[" * 20_000, "not a build key"),
        (b"\xff", "not a build key"),
        (b"[]", "not an object"),
        (KEY.encode() + b"\n", "canonical"),
        (bent(lambda tree: tree.update(more=1)), "unknown more"),
        (bent(lambda tree: tree["jvm"].update(feature=11)), "feature"),
        (bent(lambda tree: tree["jvm"].update(feature=True)), "not an integer"),
        (bent(lambda tree: tree["jvm"].update(libjvm="../x")), "libjvm"),
        (bent(lambda tree: tree["jvm"].update(arch="AMD 64")), "architecture"),
        (bent(lambda tree: tree["jvm"].update(internalVersion="\x1b[2J")), "control"),
        (bent(lambda tree: tree["jvm"].update(internalVersion="\ud800")), "no text"),
        (bent(lambda tree: tree["ergonomics"].update(objectAlignment=7)), "objectAlignment"),
        (bent(lambda tree: tree["ergonomics"].update(largeHeap=0)), "neither true nor false"),
        (bent(lambda tree: tree["ergonomics"].update(collectors="cms")), "cms"),
        (bent(lambda tree: tree.update(classPath=[])), "classPath"),
        (bent(lambda tree: tree.update(classPath=[["app.jar", 1, 1, "a" * 64]])), "not absolute"),
        (bent(lambda tree: tree.update(classPath=[["/a:/b", 1, 1, "a" * 64]])), "`:`"),
        (bent(lambda tree: tree.update(classPath=[["/a", 1, True, "a" * 64]])), "classPath"),
        (bent(lambda tree: tree.update(classPath=[["/a", -1, 1, "a" * 64]])), "size"),
        (bent(lambda tree: tree.update(classPath=[["/a", 1, 1, "A" * 64]])), "sha256"),
        (bent(lambda tree: tree.update(moduleOptions=["b", "a"])), "not sorted"),
        (bent(lambda tree: tree.update(cpu=["b", "a"])), "sorted set"),
        (bent(lambda tree: tree.update(cpu=["a b"])), "feature"),
    ],
)
def test_a_key_that_no_pod_would_send_is_refused_and_named(odd, says):
    with pytest.raises(BadKey, match=says):
        decode(odd)


def test_caps_hold():
    with pytest.raises(TooLarge):
        decode(b" " * (MAX_KEY + 1))
    with pytest.raises(ValueError, match="classPath"):
        replace(KEY, class_path=(Jar("/a", 1, 1, "a" * 64),) * (MAX_CLASS_PATH + 1))
