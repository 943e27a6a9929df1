import pytest

from jboost_server.core.options import FIXED_MODULES, Options, normalise


@pytest.mark.parametrize(
    "arguments",
    [
        ["--add-modules=b,a", "--add-opens=java.base/x=ALL-UNNAMED"],
        ["--add-opens", "java.base/x=ALL-UNNAMED", "--add-modules", "a", "--add-modules=b"],
        ["--add-modules=a,b,a", "-Xmx1g", "--add-opens=java.base/x=ALL-UNNAMED", "-Dx=--add-modules=c"],
    ],
)
def test_spelling_order_and_repetition_make_no_difference(arguments):
    assert normalise(arguments, feature=25) == Options(
        ("--add-modules=a", "--add-modules=b", "--add-opens=java.base/x=ALL-UNNAMED"), ()
    )


@pytest.mark.parametrize("feature", [17, 25])
@pytest.mark.parametrize(
    "argument",
    [
        "-javaagent:/otel.jar=x",
        "-Dcom.sun.management.jmxremote.port=9010",
        "-XX:StartFlightRecording",
        "-Xmx2g",
        "-XX:+UseSerialGC",
        "-ea",
        f"--add-modules={','.join(FIXED_MODULES)}",
    ],
)
def test_what_an_archive_does_not_depend_on_is_left_out(argument, feature):
    assert normalise([argument], feature=feature) == Options((), ())


@pytest.mark.parametrize(
    "argument",
    [
        "--add-opens=a/b=c",
        "--add-exports=a/b=c",
        "--add-reads=a=b",
        "--enable-native-access=a",
        "--add-modules=a",
    ],
)
def test_open_modules_matter_from_24_on_only(argument):
    assert normalise([argument], feature=25).module_options == (argument,)
    assert normalise([argument], feature=21).module_options == ()


@pytest.mark.parametrize("feature", [17, 25])
@pytest.mark.parametrize(
    "argument",
    [
        "--limit-modules=a",
        "--module-path=/m",
        "--patch-module=a=/p",
        "--upgrade-module-path=/u",
        "-Xbootclasspath/a:/b",
    ],
)
def test_other_modules_matter_always(argument, feature):
    assert normalise([argument], feature=feature).module_options == (argument,)


def test_the_short_module_path_is_the_long_one():
    assert normalise(["-p", "/m"], feature=17) == normalise(["--module-path=/m"], feature=17)


@pytest.mark.parametrize("argument", ["-agentlib:jdwp=transport=dt_socket,server=y", "-Xrunjdwp:server=y"])
def test_a_debugger_matters_from_24_on(argument):
    assert normalise([argument], feature=25).agents == ("jdwp",)
    assert normalise([argument], feature=17).agents == ()


def test_native_agents_matter_in_their_order_whatever_their_options():
    arguments = ["-agentpath:/opt/b.so=x", "-agentlib:a"]
    assert normalise(arguments, feature=17).agents == ("native:/opt/b.so", "native:a")


def test_an_option_whose_value_is_missing_is_nothing():
    assert normalise(["--add-modules"], feature=25) == Options((), ())
