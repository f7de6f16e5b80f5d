"""The lab's parts that need no root: the record, the delay line's arithmetic, link options, topologies, the session."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab import mounts, session
from testbed.lab import record as record_module
from testbed.lab.__main__ import main
from testbed.lab.delay_line import Direction, LinkParameters
from testbed.lab.links import milliseconds, parameters_of
from testbed.lab.record import LabRecord, started_at, stop_process
from topologies.four_domain import DELAYS_MS, FourDomain
from topologies.linear import Linear
from topologies.real import Real, distance_km, load
from topologies.tree import Tree

USER = f"--data-root=/var/lib/lab/docker-{os.getpid()}"  # an argument of the sleeper's, as of a daemon


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabRecord:
    monkeypatch.setattr(record_module, "RUN_FOLDER", tmp_path)
    return LabRecord("test")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", USER]
    process = subprocess.Popen(command, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


# record ---------------------------------------------------------------------------------------------------------------
def test_a_record_outlives_its_object(record: LabRecord) -> None:
    record.add("link", name="x1")
    record.add("bridge", name="s1")
    assert LabRecord("test").entries() == [{"kind": "link", "name": "x1"}, {"kind": "bridge", "name": "s1"}]


def test_undo_ends_the_newest_first_and_forgets(record: LabRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[str] = []
    monkeypatch.setitem(record_module._UNDO, "link", lambda entry: undone.append(entry["name"]))
    for name in ("one", "two", "three"):
        record.add("link", name=name)
    assert record.undo() == []
    assert undone == ["three", "two", "one"]
    assert record.entries() == [] and record.undo() == []


def test_undo_goes_on_after_a_problem_and_keeps_the_record(record: LabRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[str] = []

    def undo(entry: dict[str, str]) -> str | None:
        undone.append(entry["name"])
        return "busy" if entry["name"] == "two" else None

    monkeypatch.setitem(record_module._UNDO, "link", undo)
    for name in ("one", "two"):
        record.add("link", name=name)
    assert record.undo() == ["link two: busy"]
    assert undone == ["two", "one"]
    assert len(record.entries()) == 2


def test_undo_ends_a_recorded_process(record: LabRecord, sleeper: subprocess.Popen[bytes]) -> None:
    record.add("process", pid=sleeper.pid, name="sleeper")
    assert record.entries()[0]["started"] == started_at(sleeper.pid)
    assert record.undo() == []
    assert started_at(sleeper.pid) is None


def test_undo_spares_a_process_that_only_has_the_number(record: LabRecord, sleeper: subprocess.Popen[bytes]) -> None:
    record.add("process", pid=sleeper.pid, started="1", name="an earlier one")
    assert record.undo() == []
    assert sleeper.poll() is None


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert stop_process(process.pid, started_at(process.pid), within_s=0.2) is None


def test_there_is_no_start_time_of_no_process() -> None:
    assert started_at(2**22 + 1) is None


# mounts ---------------------------------------------------------------------------------------------------------------
MOUNTINFO = r"""
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 20 8:1 /var/lib/lab/docker /var/lib/lab/docker rw shared:2 - ext4 /dev/sda1 rw
31 30 8:1 /var/lib/lab/docker /var/lib/lab/docker rw shared:2 - ext4 /dev/sda1 rw
32 20 0:4 net:[4026531833] /run/lab/docker/netns/default rw - nsfs nsfs rw
33 32 0:4 net:[4026531833] /run/lab/docker/netns/default rw - nsfs nsfs rw
34 31 0:50 / /var/lib/lab/docker/overlay2/a/merged rw - overlay overlay rw
35 31 0:51 / /var/lib/lab/docker/containers/a/mounts/shm rw - tmpfs shm rw
36 20 8:1 /var/lib/lab/docker-old /var/lib/lab/docker-old rw - ext4 /dev/sda1 rw
""".lstrip()


def _left(folder: str, *more: str) -> list[int]:
    return [mount.number for mount in mounts.left_in(folder, mounts.parse(MOUNTINFO + "\n".join(more)))]


def test_what_dockerd_leaves_goes_from_the_top() -> None:
    assert _left("/var/lib/lab/docker") == [35, 34, 31, 30]
    assert _left("/run/lab/docker") == [33, 32]
    assert _left("/var/lib/lab/none") == []


def test_a_mount_that_dockerd_did_not_make_stays_with_what_holds_it() -> None:
    disk = "40 31 8:2 / /var/lib/lab/docker/volumes rw - ext4 /dev/sdb1 rw"
    assert _left("/var/lib/lab/docker", disk) == [35, 34]
    elsewhere = "40 20 8:1 /srv/docker /srv/lab rw - ext4 /dev/sda1 rw"
    assert _left("/srv/lab", elsewhere) == []


@pytest.mark.parametrize("kind", ["ext4 /dev/sdb1", "overlay overlay", "tmpfs shm"])
def test_a_file_system_put_at_the_folder_stays_and_its_bind_on_itself_goes(kind: str) -> None:
    disk, bind = (f"{n} 8:2 / /srv/lab rw - {kind} rw" for n in ("40 20", "41 40"))
    assert _left("/srv/lab", disk, bind) == [41]


def test_a_folder_below_another_mount_is_bound_on_itself() -> None:
    disk = "40 20 8:2 /@data /srv rw - btrfs /dev/sdb1 rw"
    assert _left("/srv/a b", disk, r"41 40 8:2 /@data/a\040b /srv/a\040b rw shared:9 - btrfs /dev/sdb1 rw") == [41]


@pytest.fixture
def unmounted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be unmounted; nothing is, and the machine's mounts are those of `MOUNTINFO`."""
    points: list[str] = []
    monkeypatch.setattr(mounts, "_unmount", points.append)
    monkeypatch.setattr(mounts, "_left_now", lambda folder: mounts.left_in(str(folder), mounts.parse(MOUNTINFO)))
    return points


def test_mounts_go_after_the_daemon_that_made_them(
    record: LabRecord,
    sleeper: subprocess.Popen[bytes],
    tmp_path: Path,
    unmounted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record.add("mounts", name="/run/lab/docker", user=USER, lock=str(tmp_path / "lock"))
    record.add("process", pid=sleeper.pid, name="dockerd")
    with monkeypatch.context() as ill:
        ill.setitem(record_module._UNDO, "process", lambda entry: "it does not end")
        assert record.undo() == ["process dockerd: it does not end"] and unmounted == []
    assert LabRecord("test").undo() == []
    assert unmounted == ["/run/lab/docker/netns/default"] * 2 and record.entries() == []


def test_mounts_of_a_later_daemon_stay(
    record: LabRecord, sleeper: subprocess.Popen[bytes], tmp_path: Path, unmounted: list[str]
) -> None:
    record.add("mounts", name="/var/lib/lab/docker", user=USER, lock=str(tmp_path / "lock"))
    assert record.undo() == []
    assert unmounted == [] and sleeper.poll() is None


def test_a_mount_that_does_not_go_keeps_the_record(
    record: LabRecord, tmp_path: Path, unmounted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(point: str) -> None:
        raise OSError(1, "Operation not permitted", point)

    monkeypatch.setattr(mounts, "_unmount", refuse)
    record.add("mounts", name="/run/lab/docker", user="--exec-root=/run/lab/none", lock=str(tmp_path / "lock"))
    assert "not permitted: '/run/lab/docker/netns/default'" in record.undo()[0]
    assert len(record.entries()) == 1


# delay line -----------------------------------------------------------------------------------------------------------
def _direction(**parameters: float) -> Direction:
    return Direction(LinkParameters("a", "b", **parameters), random.Random(1))  # type: ignore[arg-type]


def test_a_frame_arrives_after_the_delay() -> None:
    assert _direction(delay_ms=5.0).arrival(100.0, 1500) == pytest.approx(100.005)


def test_frames_queue_for_the_rate() -> None:
    direction = _direction(delay_ms=1.0, bandwidth_mbps=12.0)  # 1500 bytes take 1 ms
    assert [direction.arrival(10.0, 1500) for _ in range(3)] == pytest.approx([10.002, 10.003, 10.004])
    assert direction.arrival(20.0, 1500) == pytest.approx(20.002)


def test_jitter_spreads_arrivals_within_bounds_and_in_order() -> None:
    direction = _direction(delay_ms=5.0, jitter_ms=4.0)
    arrivals = [direction.arrival(index * 1e-3, 100) for index in range(500)]
    waits = [(arrival or 0) - index * 1e-3 for index, arrival in enumerate(arrivals)]
    assert arrivals == sorted(arrivals, key=lambda arrival: arrival or 0)
    assert min(waits) >= 1e-3 - 1e-9 and max(waits) <= 9e-3 + 1e-9 and max(waits) - min(waits) > 1e-3


def test_jitter_never_makes_a_frame_arrive_before_it_was_sent() -> None:
    direction = _direction(delay_ms=1.0, jitter_ms=50.0)
    assert all((direction.arrival(float(now), 100) or 0) >= now for now in range(200))


def test_loss_is_about_the_share_asked_for() -> None:
    direction = _direction(loss_percent=10.0)
    lost = sum(direction.arrival(float(now), 100) is None for now in range(5000))
    assert 400 < lost < 600 and direction.dropped == lost


def test_all_is_lost_at_a_hundred_percent() -> None:
    direction = _direction(loss_percent=100.0)
    assert all(direction.arrival(float(now), 100) is None for now in range(100))


def test_a_full_queue_drops() -> None:
    direction = _direction(queue_frames=2)
    direction.waiting = 2
    assert direction.arrival(0.0, 100) is None and direction.dropped == 1
    direction.waiting = 1
    assert direction.arrival(0.0, 100) == 0.0


# links ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "ms"), [(None, 0.0), ("5ms", 5.0), ("1s", 1000.0), ("200us", 0.2), (3, 3.0), (0.5, 0.5), ("0.1ms", 0.1)]
)
def test_durations(text: str | float | None, ms: float) -> None:
    assert milliseconds(text) == pytest.approx(ms)


@pytest.mark.parametrize("text", ["", "5", "ms", "5 min", "fast", "5mss"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        milliseconds(text)


def test_link_options_become_numbers() -> None:
    options = {"delay": "5ms", "jitter": "500us", "loss": 1, "bw": 100, "max_queue_size": 50}
    assert parameters_of("a", "b", options, 7) == LinkParameters("a", "b", 5.0, 0.5, 1.0, 100.0, 50, 7)
    assert parameters_of("a", "b", {}) == LinkParameters("a", "b")


# topologies -----------------------------------------------------------------------------------------------------------
Trunks = dict[tuple[int, int], float]


def _trunks(topo: FourDomain | Linear | Real | Tree) -> Trunks:
    links = [(a, b, info) for a, b, info in topo.links(withInfo=True) if {a, b} <= set(topo.switches())]
    return {
        (min(x, y), max(x, y)): milliseconds(i["delay"])
        for x, y, i in ((int(a[1:]), int(b[1:]), i) for a, b, i in links)
    }


def test_four_domains() -> None:
    topo = FourDomain()
    assert sorted(topo.switches()) == ["s1", "s2", "s3", "s4"]
    assert sorted(topo.hosts()) == ["c2", "c3", "c4"]
    assert _trunks(topo) == DELAYS_MS


def test_a_line() -> None:
    assert _trunks(Linear(switches=4, delay_ms=3.0)) == {(1, 2): 3.0, (2, 3): 3.0, (3, 4): 3.0}


def test_a_tree_has_clients_at_its_leaves() -> None:
    topo = Tree(depth=2, fanout=2)
    assert sorted(_trunks(topo)) == [(1, 2), (1, 3), (2, 4), (2, 5), (3, 6), (3, 7)]
    assert sorted(topo.hosts()) == ["c4", "c5", "c6", "c7"]


def test_a_real_network_has_delays_of_its_distances() -> None:
    topo = Real(name="abilene")
    graph = load("sndlib/abilene")
    assert len(topo.switches()) == len(graph["nodes"])
    assert len(topo.hosts()) == len(graph["nodes"]) - 1
    assert all(0.1 <= delay_ms < 50 for delay_ms in _trunks(topo).values())


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ValueError, match="atlantis"):
        load("atlantis")


def test_great_circles() -> None:
    assert distance_km((0, 0), (0, 0)) == 0
    assert distance_km((0, 0), (180, 0)) == pytest.approx(3.14159265 * 6371, rel=1e-6)
    assert distance_km((13.405, 52.52), (2.352, 48.857)) == pytest.approx(878, abs=5)


# session --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "kind"), [("four_domain", FourDomain), ("tree", Tree), ("real:abilene", Real)])
def test_topologies_by_name(name: str, kind: type) -> None:
    assert isinstance(session.topology(name), kind)


@pytest.mark.parametrize(
    "arguments", [["up", "--topology", "ring"], ["up", "--topology", "real:atlantis"], ["sideways"], []]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_holder_is_known_by_number_and_start_time() -> None:
    assert session.alive(os.getpid(), started_at(os.getpid()))
    assert not session.alive(os.getpid(), "1") and not session.alive(os.getpid(), None)


def test_a_zombie_holder_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    started = started_at(sleeper.pid)
    sleeper.send_signal(signal.SIGKILL)
    assert session.stop_holder(sleeper.pid, started, within_s=5)  # nobody has waited for it yet
