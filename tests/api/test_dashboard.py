"""The page as a person opens it: a real API server, the rights of deploy/dashboard, and Chromium.

`kubectl warmroot top` shows the same, and is tried beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from testbed.apps.running import free_port
from tests.api.operator_bed import ROOT
from tests.api.test_jboost_tokens import token
from tests.api.webhook_bed import RIGHTS
from tests.waiting import until
from warmroot.kube.cluster import JAVA_CACHE, NAMESPACE, NODE, OS, OSINSTANCE

pytestmark = [pytest.mark.api, pytest.mark.browser]
EVIL = "the kernel said <img src=x onerror=document.title='owned'> and died"
NEW = "sha256:" + "b" * 64
LABELS = {"pool": "dashboard-test"}
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Without these Chromium asks its maker's hosts for news."""
SEEN_WITHIN = 15


def made_as(cluster, kind, body):
    """Our own kinds have to be named."""
    return cluster.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind} | body)


@pytest.fixture(scope="module")
def objects(kinds):
    """An OS object over 30 nodes, of which one failed with a message that is no friend, and a JavaCache."""
    waves = [{"name": "canary", "nodes": 1}, {"name": "rest", "approval": "Required"}]
    spec = {"nodeSelector": {"matchLabels": LABELS}, "rollout": {"waves": waves}}
    spec["release"] = {"version": "2", "source": "https://releases.example/os", "digest": NEW}
    one = made_as(kinds, OS, {"metadata": {"name": "dashboard"}, "spec": spec})
    failed = {
        "node": "dash-00",
        "digest": NEW,
        "reason": "FellBack",
        "message": EVIL,
        "at": "2026-11-02T00:00:00Z",
    }
    one["status"] = {"observedGeneration": 1, "targetDigest": NEW, "phase": "Halted", "failed": [failed]}
    kinds.replace(OS, one, subresource="status")
    for number in range(30):
        name = f"dash-{number:02}"
        made = kinds.create(NODE, {"metadata": {"name": name, "labels": LABELS}})
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": made["metadata"]["uid"]}
        barred = {"barred": [NEW]} if number == 0 else {}
        spec = {"os": "dashboard", "goal": "None"} | barred
        made_as(kinds, OSINSTANCE, {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec})
    space = f"dash-{uuid.uuid4().hex[:8]}"
    kinds.create(NAMESPACE, {"metadata": {"name": space}})
    cache = made_as(
        kinds, JAVA_CACHE, {"metadata": {"name": "orders", "namespace": space}, "spec": {"selector": {}}}
    )
    cache["status"] = {
        "observedGeneration": 1,
        "state": "Serving",
        "serving": "1/1",
        "coverage": 97,
        "keys": [
            {
                "key": "a" * 64,
                "jdk": "21.0.5",
                "arch": "amd64",
                "state": "Serving",
                "reason": "Serving",
                "recordings": 1,
                "hits": 4,
                "misses": {},
                "startSeconds": {"without": 7.4, "with": 3.1},
            }
        ],
    }
    kinds.replace(JAVA_CACHE, cache, subresource="status")
    yield space
    kinds.patch(OS, "dashboard", {"metadata": {"finalizers": None}})
    kinds.delete(OS, "dashboard")
    for number in range(30):
        kinds.delete(NODE, f"dash-{number:02}")
    kinds.delete(NAMESPACE, space)


@pytest.fixture(scope="module")
def reader(kinds, objects, control_plane, tmp_path_factory):
    """A kubeconfig with the rights of deploy/dashboard and no others."""
    text = (ROOT / "deploy/dashboard/rbac.yaml").read_text().replace("warmroot-system", objects)
    rights = [one for one in yaml.safe_load_all(text) if one]
    for one in rights:
        kinds.apply(RIGHTS[one["kind"]], one, manager="test")
    account = token(kinds, objects, "warmroot-dashboard")
    yield control_plane.token_kubeconfig(account, tmp_path_factory.mktemp("reader") / "kubeconfig")
    for one in rights:
        if one["kind"] != "ServiceAccount":
            kinds.delete(RIGHTS[one["kind"]], one["metadata"]["name"])


@pytest.fixture
def serving(reader, tmp_path):
    """Starts the page, with further words; gives its address."""
    started = []

    def serve(*words: str) -> str:
        port = free_port()
        program = Path(sys.executable).parent / "kubectl-warmroot"
        with (tmp_path / "log").open("wb") as log:
            one = subprocess.Popen(
                [program, "dashboard", "--listen", f"127.0.0.1:{port}", *words],
                env=os.environ | {"KUBECONFIG": str(reader)},
                stdout=log,
                stderr=log,
            )
        started.append(one)
        url = f"http://127.0.0.1:{port}/"
        until(lambda: get(f"{url}healthz"), 60, what=(tmp_path / "log").read_text, forgive=(OSError,))
        return url

    yield serve
    for one in started:
        one.send_signal(signal.SIGTERM)
        assert one.wait(20) == 0


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for word in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_window_size(1200, 1100)
    yield driver
    driver.quit()


@pytest.fixture
def browser(serving, chromium):
    """On no page, before and after."""
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def text(browser) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def shows(browser, *words: str) -> None:
    until(
        lambda: all(one in text(browser) for one in words), SEEN_WITHIN, what=lambda: text(browser), every=0.1
    )


@pytest.mark.timeout(300)
def test_it_shows_rollouts_and_caches_and_what_changes_without_being_asked(serving, browser, kinds):
    browser.get(serving())

    shows(
        browser,
        "Live",
        "0 of 30",
        "1 Failed",
        "dash-01, dash-02, dash-03 and 26 more",
        "without 7.40 s",
        "97 %",
    )
    kinds.patch(OS, "dashboard", {"spec": {"rollout": {"paused": True}}})
    shows(browser, "It is paused")
    kinds.patch(OS, "dashboard", {"spec": {"rollout": {"paused": False}}})
    until(lambda: "It is paused" not in text(browser), SEEN_WITHIN)


@pytest.mark.timeout(300)
def test_what_nodes_say_is_text_and_never_a_part_of_the_page(serving, browser):
    browser.get(serving())

    shows(browser, EVIL)
    assert browser.title == "warmroot"
    assert browser.find_elements(By.TAG_NAME, "img") == []
    severe = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
    assert severe == []


@pytest.mark.timeout(300)
def test_it_is_used_by_keyboard_and_stays_where_somebody_reads(serving, browser):
    browser.get(serving())
    shows(browser, "and 26 more")

    def on() -> str:
        return browser.switch_to.active_element.text

    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert on() == "Skip to the rollouts"
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert "and 26 more" in on()
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    shows(browser, "dash-04, dash-05")
    before = browser.execute_script(ANSWERS)
    until(lambda: browser.execute_script(ANSWERS) > before + 1, SEEN_WITHIN, "it has asked again")
    assert "and 26 more" in on()
    assert "dash-04, dash-05" in text(browser)


ANSWERS = "return performance.getEntriesByType('resource').filter((o) => /overview/.test(o.name)).length"
"""How often the page has got an answer."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_by_day_and_by_night(serving, browser, width, scheme):
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    try:
        browser.get(serving())
        shows(browser, "Live", "dash-00")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CONTRASTS) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRASTS = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((one) => {
    const part = one / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (one) => {
  for (let here = one; here; here = here.parentElement) {
    const colour = getComputedStyle(here).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const one = walk.currentNode.parentElement;
  if (!walk.currentNode.textContent.trim() || !one.getClientRects().length) continue;
  const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) found.push(walk.currentNode.textContent.slice(0, 40));
}
return found;
"""
"""Texts with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3)."""


@pytest.mark.timeout(300)
def test_with_a_token_the_page_asks_for_it_and_shows_nothing_before(serving, browser, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef0123\n")
    url = serving("--token-file", str(secret))

    browser.get(url)
    until(lambda: browser.find_element(By.ID, "token").is_displayed(), SEEN_WITHIN)
    assert "dash-00" not in text(browser)
    browser.find_element(By.ID, "token").send_keys("wrong-wrong-wrong", Keys.ENTER)
    shows(browser, "A token is wanted")
    browser.find_element(By.ID, "token").clear()
    browser.find_element(By.ID, "token").send_keys("0123456789abcdef0123", Keys.ENTER)
    shows(browser, "Live", "dash-00")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(f"{url}overview.json")


@pytest.mark.timeout(120)
def test_the_page_s_account_can_read_what_it_shows_and_change_nothing(kinds, reader, objects):
    from testbed.controlplane import build
    from testbed.demo.kubectl import Kubectl
    from warmroot.errors import StepFailed

    kubectl = Kubectl(build.installed() / "kubectl", reader)
    assert "dashboard" in kubectl.run("get", "oses", "-o", "name")
    for words in (
        ("patch", "os", "dashboard", "--type=merge", "-p", "{}"),
        ("delete", "osinstance", "dash-00"),
        ("get", "secrets", "-n", objects),
        ("delete", "pod", "none", "-n", objects),
    ):
        with pytest.raises(StepFailed, match="forbidden"):
            kubectl.run(*words)


@pytest.mark.timeout(120)
def test_a_terminal_shows_the_same(reader, objects):
    program = Path(sys.executable).parent / "kubectl-warmroot"
    environment = os.environ | {"KUBECONFIG": str(reader)}

    def top(*words: str) -> str:
        return subprocess.run(
            [program, "top", *words], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "OS dashboard: release 2, Halted, 0 of 30 nodes" in top("--once")
    told = json.loads(top("--output", "json"))
    (rollout,) = [one for one in told["rollouts"] if one["os"] == "dashboard"]
    assert sum(group["count"] for group in rollout["groups"]) == 30
    assert [one["namespace"] for one in told["caches"] if one["name"] == "orders"] == [objects]
