"""The only RyuApp: `ryu-manager sdn_app.app`. It turns OpenFlow events into calls on `control.Controller`.

In: raw messages and state changes of Ryu's datapaths. Out: calls; it starts the REST API beside itself. It decides
nothing.
"""

import logging
import os
import sys
from typing import Any, ClassVar

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3

from sdn_app.api.application import make_app
from sdn_app.api.server import serve
from sdn_app.control.controller import Controller
from sdn_app.control.health import Health
from sdn_app.control.operations import Operations
from sdn_app.openflow import codec
from sdn_app.openflow.datapath import GuardedDatapath
from sdn_app.settings import Settings, SettingsError
from sdn_app.store.interface import StoreError
from sdn_app.store.sqlite import SqliteStore

LOG = logging.getLogger(__name__)
ERROR, PORT_STATUS, MULTIPART_REPLY, BARRIER_REPLY = 1, 12, 19, 21
PORT_REMOVED = 1


class SfcApp(app_manager.RyuApp):  # type: ignore[misc]  # ryu is untyped
    """Steers service function chains over OpenFlow 1.3."""

    OFP_VERSIONS: ClassVar[list[int]] = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            settings = Settings.from_environment(os.environ)
            self._controller = Controller(settings, SqliteStore(settings.database))
        except (SettingsError, StoreError) as error:
            sys.exit(f"sdn_app: {error}")
        health = Health(self._controller)
        self._operations = Operations(self._controller, health)
        GuardedDatapath.packet_in_handler = self._packet_in
        GuardedDatapath.raw_handlers.update(
            {
                ERROR: self._error,
                PORT_STATUS: self._port_status,
                MULTIPART_REPLY: self._multipart,
                BARRIER_REPLY: self._barrier,
            }
        )
        self._controller.start()
        health.start()
        try:
            rest = make_app(self._operations, settings)
            self._server = serve(rest, settings.rest_host, settings.rest_port, LOG)
        except (SettingsError, OSError) as error:
            sys.exit(f"sdn_app: REST on {settings.rest_host}:{settings.rest_port}: {error}")

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])  # type: ignore[untyped-decorator]
    def _state_change(self, event: Any) -> None:
        datapath = event.datapath
        if datapath.id is None:
            return
        if event.state == MAIN_DISPATCHER:
            self._controller.switch_connected(datapath.id, datapath)
        else:
            self._controller.switch_disconnected(datapath.id, datapath)

    def _packet_in(self, datapath: GuardedDatapath, buf: bytes) -> bool:
        return datapath.id is not None and self._controller.packet_in(datapath.id, datapath, buf)

    def _multipart(self, datapath: GuardedDatapath, buf: bytes) -> bool:
        sync = self._controller.sync
        if datapath.id is None or not sync.expects(datapath.id, int.from_bytes(buf[4:8], "big")):
            return False
        xid, _, more, items = codec.decode_multipart(buf)
        return sync.multipart_reply(datapath.id, xid, items, more)

    def _barrier(self, datapath: GuardedDatapath, buf: bytes) -> bool:
        if datapath.id is None:
            return False
        return self._controller.sync.barrier_reply(datapath.id, codec.decode_barrier_reply(buf))

    def _error(self, datapath: GuardedDatapath, buf: bytes) -> bool:
        if datapath.id is None:
            return False
        kind, code, _, xid = codec.decode_error(buf)
        return self._controller.sync.error(datapath.id, xid, f"error type {kind} code {code}")

    def _port_status(self, datapath: GuardedDatapath, buf: bytes) -> bool:
        if datapath.id is None:
            return False
        reason, port = codec.decode_port_status(buf)
        self._controller.port_status(datapath.id, reason == PORT_REMOVED, port)
        return False  # Ryu keeps its own list of ports
