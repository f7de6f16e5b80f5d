"""The demo's second act: one domain's traffic goes through all five kinds of function, and what each stops is tried.

In: a lab that is up, with the service in it. Out: what each function saw and stopped, and checks. Its chain is
firewall, antivirus and content filter in domain 3, then encryption from there to the headquarters, where the second one of the pair
stands; mail goes through a firewall, the antivirus and the spam filter.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from testbed.experiments.report import Check, Function
from testbed.lab.net import SERVICE_ADDRESS, Lab, Vnf
from testbed.traffic.rtt import ping_command

MAIL = Path(__file__).resolve().parents[1] / "traffic" / "mail.py"
CLIENT, MAIL_SERVER, INSPECTED_DOMAIN = "c2", "c4", 2
FUNCTIONS = ("firewall", "antivirus", "contentfilter", "encryption", "encryption")
CHAIN = {
    "name": "inspected",
    "functions": list(FUNCTIONS),
    "pinned": ["fw2", "av1", "cf1", "enc1", "enc2", None],
    "service": "emergency",
    "classifier": {"domain": INSPECTED_DOMAIN, "priority": 300},
}
MAIL_CHAIN = {
    "name": "mail",
    "functions": ["firewall", "antivirus", "spamfilter"],
    "classifier": {"domain": INSPECTED_DOMAIN, "protocol": "tcp", "destination_ports": "25", "priority": 300},
}
# The test strings of anti-virus (eicar.org) and anti-spam products (GTUBE), in two parts each: this file is neither.
VIRUS = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SPAM = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
BLOCKED_NAME = "blocked.example"  # in the content filter's own list
STOPPED = {  # metrics that tell what a function stopped: label that names it
    "vnf_firewall_rule_packets": "rule",
    "vnf_antivirus_hits": "signature",
    "vnf_contentfilter_blocked": "list",
    "vnf_spamfilter_messages": "verdict",
    "vnf_drops": "reason",
}
PASSED = {
    "vnf_contentfilter_requests": "requests",
    "vnf_spamfilter_messages": "messages",
}  # with verdict "passed": in words
READY_WITHIN_S = 40.0


class Inspection:
    """One run. `functions` and `checks` are what came of it."""

    def __init__(self, lab: Lab, say: Callable[[str], None], metrics: Callable[[str], str]) -> None:
        self._lab, self._say, self._metrics = lab, say, metrics
        self._folder = lab.record.folder / "inspection"
        self.functions: tuple[Function, ...] = ()
        self.checks: list[Check] = []

    def run(self) -> None:
        """All steps."""
        self._start()
        plain = self._curl("c3", "/bytes/300000")
        self._chains()
        inspected = self._curl(CLIENT, "/bytes/300000")
        self._check(
            "what is harmless passes every function unharmed",
            len(plain) == 300_000 and inspected == plain,
            f"{len(inspected):,} bytes, {'equal to' if inspected == plain else 'other than'} those of another domain",
        )
        self._encrypted()
        self._virus()
        self._blocked()
        self._mail()
        self.functions = tuple(
            function_of(name, host.vnf.vnf_type, self._metrics(name))
            for name, host in self._lab.instances.items()
            if host.vnf.vnf_type != "servant"
        )

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        keys = self._folder / "keys"
        self._lab.record.add("file", name=str(keys))
        keys.write_text(f"1 = {secrets.token_hex(32)}\nsend = 1\n")
        mounts = ((str(self._folder), "/keys"),)
        for vnf in (
            Vnf("av1", "antivirus", 3),
            Vnf("cf1", "contentfilter", 3),
            Vnf("enc1", "encryption", 3, (("PLAIN_SIDE", "in0"), ("KEY_FILE", "/keys/keys")), mounts=mounts),
            Vnf("enc2", "encryption", 1, (("PLAIN_SIDE", "out0"), ("KEY_FILE", "/keys/keys")), mounts=mounts),
            Vnf("sf1", "spamfilter", 1),
        ):
            self._say(f"{vnf.vnf_type} {vnf.name} in domain {vnf.switch}")
            self._lab.add_instance(vnf)
        self._lab.ready(READY_WITHIN_S)

    def _chains(self) -> None:
        self._say(f"chain {CHAIN['name']} for domain {INSPECTED_DOMAIN}: {' -> '.join(FUNCTIONS)} -> emergency")
        for chain in (CHAIN, MAIL_CHAIN):
            self._lab.call("POST", "/chains?wait=10", chain)
        time.sleep(0.5)  # Open vSwitch's caches follow its tables

    # tries ----------------------------------------------------------------------------------------------------------
    def _encrypted(self) -> None:
        """Ask with a word that is searched at the pair's ports and on every trunk of the headquarters."""
        word = "plain" + secrets.token_hex(8)
        clear, hidden = ("enc1-i", "enc2-o"), ("enc1-o", "enc2-i", *self._trunks(1))
        captures = {port: self._capture(port) for port in (*clear, *hidden)}
        time.sleep(0.4)  # tcpdump has to begin
        self._curl(CLIENT, f"/cheap?{word}")
        time.sleep(0.3)
        for process in captures.values():
            process.terminate()
        seen = {port: process.communicate(timeout=10)[0].count(word.encode()) for port, process in captures.items()}
        self._check(
            "no plaintext between the encrypting pair",
            all(seen[port] for port in clear) and not any(seen[port] for port in hidden),
            "a request's word: " + ", ".join(f"{count} times on {port}" for port, count in seen.items()),
        )

    def _virus(self) -> None:
        self._say("the EICAR test file, uploaded")
        before = self._stopped("av1", "vnf_antivirus_hits")
        done = self._run_curl(CLIENT, "/cheap", "--data-binary", VIRUS)
        hits = self._stopped("av1", "vnf_antivirus_hits") - before
        self._check(
            "the antivirus ends the connection of a virus",
            done.returncode != 0 and hits.total() > 0,
            f"curl: exit code {done.returncode}; signature {', '.join(hits) or 'none'}",
        )

    def _blocked(self) -> None:
        self._say(f"a page of {BLOCKED_NAME}")
        done = self._run_curl(CLIENT, "/cheap", "--header", f"Host: {BLOCKED_NAME}", "--write-out", "%{http_code}")
        code = done.stdout[-3:].decode()
        self._check(
            "the content filter answers for a blocked name",
            code == "403" and BLOCKED_NAME.encode() in done.stdout,
            f"HTTP status {code}",
        )

    def _mail(self) -> None:
        server = self._lab.net[MAIL_SERVER].IP() if self._lab.net is not None else ""
        self._say(f"mail from {CLIENT} to {MAIL_SERVER}: one letter, and one with the GTUBE string")
        sink = self._popen(MAIL_SERVER, [sys.executable, str(MAIL), "sink", server, "25"])
        try:
            assert sink.stdout is not None
            sink.stdout.readline()
            self._popen(CLIENT, ping_command(server, 2)).communicate(timeout=20)  # for ARP and learning
            head = "From: client@lab.example\r\nTo: desk@lab.example\r\nSubject: {}\r\nMessage-ID: <{}@lab.example>\r\n\r\n"
            letter = head.format("Beds", secrets.token_hex(6)) + "We have four free beds.\r\nThe ward\r\n"
            spam = head.format("Win", secrets.token_hex(6)) + SPAM + "\r\n"
            replies = [self._send(server, text) for text in (letter, spam)]
        finally:
            sink.terminate()
            kept = [json.loads(line)["message"] for line in sink.communicate(timeout=10)[0].splitlines() if line]
        codes = [int(reply["code"]) for reply in replies]
        self._check(
            "the spam filter refuses spam and leaves a letter as it is",
            codes == [250, 550] and kept == [letter],
            f"replies {codes[0]} and {codes[1]}: {replies[1]['text'][:60]}; {len(kept)} kept, "
            f"{'byte for byte' if kept == [letter] else 'not as sent'}",
        )

    # tools ----------------------------------------------------------------------------------------------------------
    def _check(self, name: str, good: bool, detail: str) -> None:
        self.checks.append(Check(name, good, detail))
        self._say(f"{name}: {'good' if good else 'NOT GOOD'} ({detail})")

    def _send(self, server: str, text: str) -> dict[str, Any]:
        message = self._folder / "message"
        self._lab.record.add("file", name=str(message))
        message.write_bytes(text.encode())
        command = [sys.executable, str(MAIL), "send", server, "25", str(message)]
        out, _ = self._popen(CLIENT, command).communicate(timeout=60)
        return dict(json.loads(out))

    def _curl(self, client: str, path: str) -> bytes:
        return self._run_curl(client, path).stdout

    def _run_curl(self, client: str, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        url = f"http://{SERVICE_ADDRESS}{path}"
        process = self._popen(client, ["curl", "--silent", "--max-time", "15", "--noproxy", "*", *options, url])
        out, _ = process.communicate(timeout=30)
        return subprocess.CompletedProcess([], process.returncode, out)

    def _popen(self, host: str, command: list[str]) -> subprocess.Popen[bytes]:
        return self._lab.popen(host, *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _trunks(self, switch: int) -> list[str]:
        """The ports of a switch that lead to other switches."""
        topology = self._lab.call("GET", "/topology")
        numbers = {x["a_port"] for x in topology["links"] if x["a"] == switch}
        ports = next(s["ports"] for s in topology["switches"] if s["switch"] == switch)
        return [str(p["name"]) for p in ports if p["number"] in numbers]

    def _capture(self, port: str) -> subprocess.Popen[bytes]:
        command = ["tcpdump", "--immediate-mode", "-U", "-n", "-s", "0", "-i", port, "-w", "-"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._lab.record.add("process", pid=process.pid, name="tcpdump")
        return process

    def _stopped(self, instance: str, metric: str) -> Counter[str]:
        return Counter(function_of(instance, "", self._metrics(instance), {metric: STOPPED[metric]}).stopped)


def function_of(instance_id: str, vnf_type: str, metrics: str, stopped: Mapping[str, str] = STOPPED) -> Function:
    """What a function's `/metrics` page says of what it saw, and stopped."""
    packets = 0
    passed: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    dropped = 0
    seconds = [0.0, 0.0]
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            verdict = sample.labels.get("verdict", "")
            count = int(sample.value) if sample.name.endswith("_total") else 0
            if sample.name == "vnf_packets_total":
                packets += count
            elif family.name in PASSED and verdict == "passed" and count:
                passed[PASSED[family.name]] += count
            elif family.name in stopped and count and verdict not in ("accept", "passed"):
                reasons[sample.labels.get(stopped[family.name], "")] += count
                dropped += count if family.name == "vnf_drops" else 0
            elif sample.name == "vnf_processing_seconds_sum":
                seconds[0] = sample.value
            elif sample.name == "vnf_processing_seconds_count":
                seconds[1] = sample.value
    if "messages" not in passed:  # whoever handles mail makes other packets of those that it gets
        passed["packets"] = packets - dropped
    mean_us = 1e6 * seconds[0] / seconds[1] if seconds[1] else None
    return Function(instance_id, vnf_type, packets, dict(passed), dict(sorted(reasons.items())), mean_us)
