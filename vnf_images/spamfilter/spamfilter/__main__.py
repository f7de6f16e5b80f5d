"""Runs the spam filter: packet filter first, so that no mail passes unseen, then SpamAssassin, the proxy and a watch over all.

In: MGMT_ADDRESS, CONFIG_FILE, and as argument the number of an open TUN device (`start`). Ends with 0 on SIGTERM, after the sessions
under way, and 2 when settings are wrong or the kernel lacks something.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import tomllib
from prometheus_client import REGISTRY
from vnf import management, settings
from vnf.log import log
from vnf.plumbing import Bridge, Plumber, PlumbingFailed, Port, Wiring, host, look

from spamfilter import kernel
from spamfilter.config import ConfigRefused, load
from spamfilter.judge import Judge
from spamfilter.metrics import RELOADS, Ports
from spamfilter.proxy import Bounds, Proxy
from spamfilter.relay import Relay
from spamfilter.session import Session
from spamfilter.spamd import Spamd
from spamfilter.wire import Peer

PORTS = (kernel.IN_PORT, kernel.OUT_PORT)
LOOK_AGAIN_S = 2.0
SILENCE_S = 15.0
DESCRIPTION = Path("/etc/vnf/vnf.toml")


class Filter:
    """All parts together, and what the watch found last, for /health."""

    def __init__(self, path: Path, tun: int, addresses: tuple[str, ...], tcp_ports: tuple[int, ...]) -> None:
        self._path = path
        config = load(path)
        kernel.take_off_the_bridge(tcp_ports)
        self._tcp_ports = tcp_ports
        self._spamd = Spamd(config.limits.scans)
        self._judge = Judge(config, self._spamd)
        self._stopping = asyncio.Event()
        kernel.make_tun(tun)
        self._relay = Relay(tun, tcp_ports, lambda key: self._proxy.asked(key))
        self._proxy = Proxy(self._relay, self._bounds, self._session, self._stopping)
        ports = (*(Port(name, data=True) for name in PORTS), Port("mgmt0", addresses))
        self._plumber = Plumber(Wiring(ports, Bridge("br0", PORTS)))
        self._changed = asyncio.Event()
        self._mtu = 0
        self._reason = "starting"
        self._looked_s = time.monotonic()

    def _bounds(self) -> Bounds:
        limits = self._judge.config.limits
        return Bounds(limits.connections, limits.connect_s)

    async def _session(self, client: Peer, server: Peer) -> str:
        return await Session(client, server, self._judge, self._stopping).run()

    async def run(self, address: str) -> None:
        """Work until SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_reader(self._plumber.fileno(), self._interfaces_changed)
        self._relay.start()
        await self._proxy.listen(self._tcp_ports)
        REGISTRY.register(Ports(PORTS))
        management.serve(address, self.health)
        others = [asyncio.create_task(self._spamd.keep_running()), asyncio.create_task(self._watch())]
        ended = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([*others, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            if task.done():  # neither should ever end
                task.result()
        log("ending", connections=self._proxy.connections)
        await self._proxy.drain(self._judge.config.limits.drain_s)

    def _interfaces_changed(self) -> None:
        self._plumber.wait(0)
        self._changed.set()

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            await self._look()
            self._relay.count_lost()
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Put ports and bridge right, and note what is still wrong."""
        try:
            commands, wrong = await asyncio.to_thread(self._plumber.apply)
            if commands:
                log("plumbed", commands=[" ".join(command) for command in commands])
            found = await asyncio.to_thread(look)
        except PlumbingFailed as error:
            wrong, found = [str(error)], {}
        for name in PORTS:
            if name in found:
                self._relay.plug(name, found[name].index)
        await self._fit_mtu()
        reason = "; ".join(wrong)
        if reason != self._reason:
            log("health", reason=reason or "ok")
        self._reason, self._looked_s = reason, time.monotonic()

    async def _fit_mtu(self) -> None:
        """The stack's packets must fit both ports."""
        try:
            mtu = min(int(Path(f"/sys/class/net/{name}/mtu").read_text()) for name in PORTS)
        except OSError:
            return
        if mtu != self._mtu:
            await asyncio.to_thread(kernel.set_mtu, mtu)
            self._mtu = mtu

    def _reload(self) -> None:
        try:
            config = load(self._path)
        except ConfigRefused as error:
            RELOADS.labels("refused").inc()
            log("configuration refused, the old one stays", error=str(error))
        else:
            self._judge.use(config)
            RELOADS.labels("loaded").inc()
            log("configuration loaded")

    def health(self) -> management.Health:
        """Called from the management server's threads."""
        silent = time.monotonic() - self._looked_s > SILENCE_S
        reason = "the watch stopped" if silent else self._reason or self._spamd.tried()
        return management.Health(self._spamd.load, self._proxy.connections, reason)


async def main(tun: int) -> int:
    addresses = settings.addresses("MGMT_ADDRESS")
    tcp_ports = tuple(tomllib.loads(DESCRIPTION.read_text())["traffic"]["ports"])
    try:
        path = Path(os.environ.get("CONFIG_FILE") or "/etc/vnf/spamfilter.toml")
        spam_filter = Filter(path, tun, addresses, tcp_ports)
    except ConfigRefused as error:
        settings.stop("configuration refused", error=str(error))
    except kernel.KernelRefused as error:
        settings.stop("kernel refused", error=str(error))
    await spam_filter.run(host(addresses))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]))))
