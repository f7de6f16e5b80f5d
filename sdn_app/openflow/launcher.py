"""`ryu-manager` as this package installs it: Ryu's own manager with a guarded OpenFlow port.

In: Ryu's command line, unchanged. It supplies the name that Ryu misses in current eventlet, changes defaults (loopback,
one OpenFlow port, echo detection), puts `GuardedDatapath` and `GuardedServer` in the place of Ryu's, accepts OpenFlow
1.3 only, and ends with code 0 on SIGINT and SIGTERM within two seconds. Options given by the user win over the
defaults. Applications are started by Ryu as ever; nothing here knows any of them. Why: docs/decisions/0002.
"""

import logging
import os
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import eventlet
import eventlet.wsgi

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = ()  # an empty body: eventlet now notes by itself that a response was handled

from ryu.cmd import manager  # isort: skip  # patches the standard library for greenthreads: before all that uses it
from ryu.controller import controller  # isort: skip
from ryu.ofproto import ofproto_common, ofproto_protocol, ofproto_v1_3  # isort: skip

from sdn_app.openflow import datapath as guarded  # isort: skip

LOG = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "ofp_listen_host": "127.0.0.1",
    "ofp_tcp_listen_port": ofproto_common.OFP_TCP_PORT,
    "ofp_ssl_listen_port": ofproto_common.OFP_SSL_PORT,
    "wsapi_host": "127.0.0.1",
    "echo_request_interval": 2.0,
    "maximum_unreplied_echo_requests": 3,
}
MAX_UNFINISHED_PER_PEER = 256
MAX_CONNECTIONS = 4096
STOP_DEADLINE_S = 1.5
TLS_DEADLINE_S = 10.0


class GuardedServer:
    """Takes Ryu's `StreamServer`'s place: accepting goes on whatever an accept or a TLS handshake does.

    At most `MAX_UNFINISHED_PER_PEER` connections of one address may be without a finished OpenFlow handshake.
    """

    def __init__(self, listen_info: tuple[str, int], handle: Callable[[Any, Any], None], **ssl_args: Any) -> None:
        family = socket.AF_INET6 if ":" in listen_info[0] else socket.AF_INET
        try:
            self.server = eventlet.listen(listen_info, family=family, backlog=1024, reuse_port=False)
        except OSError as error:
            stop(1, f"cannot listen on {listen_info[0]} port {listen_info[1]}: {error.strerror}")
            raise
        self._handle = handle
        self._context = _tls_context(ssl_args) if ssl_args else None
        self._open = 0
        self._unfinished: Counter[str] = Counter()

    def serve_forever(self) -> None:
        """Accept for ever."""
        while True:
            try:
                sock, address = self.server.accept()
            except OSError as error:
                LOG.warning("cannot accept a connection: %s", error)
                eventlet.sleep(0.1)
                continue
            peer = str(address[0])
            if self._open >= MAX_CONNECTIONS or self._unfinished[peer] >= MAX_UNFINISHED_PER_PEER:
                guarded.count("refused_connection")
                sock.close()
                continue
            self._open += 1
            self._unfinished[peer] += 1
            eventlet.spawn(self._serve, sock, address, peer)

    def _serve(self, sock: Any, address: Any, peer: str) -> None:
        settled = eventlet.spawn_after(guarded.HANDSHAKE_DEADLINE_S, self._settle, peer)
        try:
            if self._context is not None:
                with eventlet.Timeout(TLS_DEADLINE_S):
                    sock = self._context.wrap_socket(sock, server_side=True)
            self._handle(sock, address)
        except (OSError, ValueError, eventlet.Timeout) as error:
            guarded.count("refused_connection")
            LOG.warning("connection from %s refused: %s", address, error)
        except Exception:
            LOG.exception("connection from %s failed", address)
        finally:
            self._open -= 1
            if not settled.dead:
                settled.kill()
                self._settle(peer)
            sock.close()

    def _settle(self, peer: str) -> None:
        self._unfinished[peer] -= 1
        if self._unfinished[peer] <= 0:
            del self._unfinished[peer]


def _tls_context(ssl_args: dict[str, Any]) -> ssl.SSLContext:
    """The server's TLS context from the arguments that Ryu derives from its options."""
    context: ssl.SSLContext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(ssl_args["certfile"], ssl_args["keyfile"])
    if "ca_certs" in ssl_args:
        context.verify_mode = ssl_args.get("cert_reqs", ssl.CERT_REQUIRED)
        context.load_verify_locations(ssl_args["ca_certs"])
    return context


def _serve_datapath(sock: Any, address: Any) -> None:
    """Takes the place of Ryu's `datapath_connection_factory`."""
    guarded.GuardedDatapath(sock, address).serve()


_exit_code = 0


def stop(code: int, reason: str) -> None:
    """End the process in order, with `code`."""
    global _exit_code
    _exit_code = code
    LOG.critical("stopping: %s", reason)
    os.kill(os.getpid(), signal.SIGTERM)


def _install() -> None:
    """Put the guarded parts and defaults into Ryu."""
    controller.datapath_connection_factory = _serve_datapath
    controller.StreamServer = GuardedServer
    ofproto_protocol.set_app_supported_versions([ofproto_v1_3.OFP_VERSION])
    for name, value in DEFAULTS.items():
        manager.CONF.set_default(name, value)


def _handle_signals() -> None:
    """SIGINT and SIGTERM end the main greenthread from a greenthread of ours; a pipe wakes the hub for it.

    An exception raised by a signal handler would end whatever greenthread runs at that moment, often not the main one.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    main_greenlet = eventlet.getcurrent()

    def on_deadline(_signum: int, _frame: Any) -> None:
        os._exit(_exit_code)

    def on_signal(_signum: int, _frame: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, STOP_DEADLINE_S)

    def wait_for_signal() -> None:
        while reader.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        writer.fileno()  # keeps the writing end open as long as this greenthread lives
        eventlet.hubs.get_hub().schedule_call_global(0, main_greenlet.throw, KeyboardInterrupt)

    signal.signal(signal.SIGALRM, on_deadline)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    eventlet.spawn(wait_for_signal)


def main() -> int:
    """Run Ryu's manager until a signal ends it; return the exit code."""
    _install()
    _handle_signals()
    try:
        manager.main()
    except KeyboardInterrupt:
        LOG.info("stopped while starting")
    logging.shutdown()
    return _exit_code


if __name__ == "__main__":
    sys.exit(main())
