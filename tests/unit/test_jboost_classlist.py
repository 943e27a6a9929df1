import tracemalloc
from contextlib import nullcontext
from itertools import repeat

import pytest

from jboost_server.core.classlist import MAX_LINE, Entry, Kind, Limits, parse, parse_line
from warmroot.errors import (
    BadLine,
    EmptyRecording,
    ForeignSource,
    LineTooLong,
    NotText,
    TooLarge,
    UnknownTag,
    UploadError,
)

PROXY = (
    "@lambda-proxy com/shop/Main apply ()Ljava/util/function/Function; (Ljava/lang/Object;)Ljava/lang/Object;"
    " REF_invokeStatic com/shop/Main lambda$main$0 (Ljava/lang/String;[[I)V (Ljava/lang/String;)J"
)
FORM = "@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L7_L"
SPECIES = "@lambda-form-invoker [SPECIES_RESOLVE] java.lang.invoke.BoundMethodHandle$Species_LLI"


def read(text: bytes, feature=17, class_path=(), limits=None, step=7) -> list[Entry]:
    chunks = [text[at : at + step] for at in range(0, len(text), step)]
    return list(parse(chunks, feature=feature, class_path=class_path, limits=limits or Limits()))


def test_a_list_of_17_is_names_proxies_and_forms():
    text = f"# NOTE: Do not modify\n#\njava/lang/Object\n{PROXY}\n{FORM}\n{SPECIES}\n"
    assert read(text.encode()) == [
        Entry(Kind.CLASS, "java/lang/Object"),
        Entry(Kind.PROXY, PROXY),
        Entry(Kind.FORM, FORM),
        Entry(Kind.FORM, SPECIES),
    ]


def test_ids_of_21_are_not_part_of_an_entry():
    assert read(b"java/lang/Object id: 0\na/B id: 17\n", feature=21) == [
        Entry(Kind.CLASS, "java/lang/Object"),
        Entry(Kind.CLASS, "a/B"),
    ]


def test_25_has_constant_pools_and_classes_of_custom_loaders():
    text = b"a/B id: 1\n@cp a/B 2 17\na/C id: 9 super: 0 interfaces: 1 2 source: /app/x y.jar\n"
    assert [entry.kind for entry in read(text, feature=25, class_path={"/app/x y.jar"})] == [
        Kind.CLASS,
        Kind.CONSTANTS,
        Kind.CUSTOM,
    ]


def test_the_size_of_chunks_makes_no_difference():
    text = f"java/lang/Öbject\n{PROXY}\n".encode()
    assert read(text, step=1) == read(text, step=4096)


def test_what_a_kill_left_of_the_last_line_is_passed_over():
    assert read(b"a/B\n@lambda-pro") == [Entry(Kind.CLASS, "a/B")]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# NOTE\n", b"a/B", FORM.encode() + b"\n"])
def test_a_list_without_one_class_is_an_empty_recording(text):
    with pytest.raises(EmptyRecording):
        read(text)


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        (b"\xca\xfe\xba\xbe\x00\x00\n", NotText),
        (b"a\x00b\n", BadLine),
        (b"a/B\r\n", BadLine),
        (b"a/B\tid: 1\n", BadLine),
        (b"a/B \n", BadLine),
        (b" a/B\n", BadLine),
        (b"a/B c\n", BadLine),
        (b"java.lang.Object\n", BadLine),
        (b"[Ljava/lang/Object;\n", BadLine),
        (b"a//B\n", BadLine),
        (b"a/B id: x\n", BadLine),
        (b"a/B id: 99999999999\n", BadLine),
        (b"a/B id: 1 super: 0\n", BadLine),
        (b"a/B super: 0 source: /app.jar\n", BadLine),
        (b"a/B id: 1 source: /app.jar\n", BadLine),
        (b"a/B id: 1 super: 0 source: /etc/passwd\n", ForeignSource),
        (b"a/B id: 1 super: 0 source: /app/../app.jar\n", ForeignSource),
        (b"@cp a/B 1 2\n", UnknownTag),
        (b"@class-path /etc\n", UnknownTag),
        (b"@\n", UnknownTag),
        (b"@lambda-proxy\n", BadLine),
        (b"@lambda-proxy garbage\n", BadLine),
        (PROXY.replace("REF_invokeStatic", "REF_x").encode() + b"\n", BadLine),
        (PROXY.replace("()Ljava", "(Ljava").encode() + b"\n", BadLine),
        (PROXY.encode() + b" more\n", BadLine),
        (b"x" * (MAX_LINE + 1) + b"\n", LineTooLong),
        (b"#" * (MAX_LINE + 1) + b"\n", LineTooLong),
    ],
)
def test_a_hostile_line_has_a_named_error_that_says_where(odd, error):
    with pytest.raises(error, match="line 2") as raised:
        read(b"java/lang/Object\n" + odd, class_path={"/app.jar"})
    assert type(raised.value) is error


def test_a_line_may_be_as_long_as_the_jdk_reads():
    assert read(b"x" * MAX_LINE + b"\n") == [Entry(Kind.CLASS, "x" * MAX_LINE)]


@pytest.mark.parametrize(
    "rest",
    [
        "x",
        "[LF_RESOLVE]",
        "[LF_RESOLVE] java.lang.invoke.Nope$Holder invokeStatic L_V",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic nope",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic _L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic 0_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic VL_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L300_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic LJ130_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L99999999999_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L_L more",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeVirtual L_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeSpecialIFC LI_I",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder newInvokeSpecial LL_J",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic LLL_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L1_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L2L_L",
        "[LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeInterface LI_L",
        "[LF_RESOLVE] java.lang.invoke.Invokers$Holder linkToTargetMethod IJ_L",
        "[LF_RESOLVE] java.lang.invoke.Invokers$Holder linkToTargetMethod LI2_L",
        "[LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker I_L",
        "[LF_RESOLVE] java.lang.invoke.Invokers$Holder invoker L_L",
        "[SPECIES_RESOLVE]",
        "[SPECIES_RESOLVE] java.lang.invoke.BoundMethodHandle$Species_QQ",
        "[SPECIES_RESOLVE] java.lang.invoke.Nope",
        "[SPECIES_RESOLVE] java.lang.invoke.SimpleMethodHandle more",
    ],
)
def test_a_form_that_would_cost_the_dump_all_forms_is_refused(rest):
    with pytest.raises(BadLine):
        parse_line(f"@lambda-form-invoker {rest}", feature=17)


@pytest.mark.parametrize(
    ("form", "features"),
    [
        ("DirectMethodHandle$Holder invokeStatic L_V", {17, 21, 25}),
        ("DirectMethodHandle$Holder invokeVirtual LLI_V", {17, 21, 25}),
        ("DirectMethodHandle$Holder getLong LL_J", {17, 21, 25}),
        ("LambdaForm$Holder zero_L L_L", {17, 21, 25}),
        ("DelegatingMethodHandle$Holder reinvoke_L L_L", {17, 21, 25}),
        ("Invokers$Holder linkToTargetMethod IL_L", {17, 21, 25}),
        ("Invokers$Holder invokeExact_MT LIL_I", {17, 21, 25}),
        ("Invokers$Holder invoker LIL_I", {17, 21}),
        ("Invokers$Holder exactInvoker LLI_I", {25}),
    ],
)
def test_a_form_is_taken_by_the_jdks_that_can_generate_it(form, features):
    line = f"@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.{form}"
    for feature in (17, 21, 25):
        with nullcontext() if feature in features else pytest.raises(BadLine):
            assert parse_line(line, feature=feature) == Entry(Kind.FORM, line)


@pytest.mark.parametrize("species", ["L", "LLLLLLLL", "LLLIJ", "L8"])
def test_a_species_may_be_spelled_in_full(species):
    """The JDK's generator knows the same one in two spellings, unlike the same form."""
    line = f"@lambda-form-invoker [SPECIES_RESOLVE] java.lang.invoke.BoundMethodHandle$Species_{species}"
    assert parse_line(line, feature=17) == Entry(Kind.FORM, line)


def test_caps_hold_for_bytes_and_for_lines():
    with pytest.raises(TooLarge, match="bytes"):
        read(b"a/B\n" * 10, limits=Limits(size=39))
    with pytest.raises(TooLarge, match="lines"):
        read(b"a/B\n" * 10, limits=Limits(lines=9))
    assert len(read(b"a/B\n" * 10, limits=Limits(size=40, lines=10))) == 10


def test_neither_an_endless_list_nor_an_endless_line_is_held():
    tracemalloc.start()
    for chunk, error in ((b"x" * 4096, LineTooLong), (b"a/B\n" * 1024, TooLarge)):
        with pytest.raises(error):
            for _ in parse(repeat(chunk), feature=17, class_path=(), limits=Limits(size=2**18)):
                pass
    assert tracemalloc.get_traced_memory()[1] < 2**17
    tracemalloc.stop()


def test_a_message_shows_nothing_that_a_terminal_obeys():
    with pytest.raises(UploadError) as raised:
        parse_line("\x1b[2Ja" * 100, feature=17)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_lists_of_older_jdks_are_not_guessed_at():
    with pytest.raises(ValueError, match="JDK 11"):
        parse_line("a/B", feature=11)
