# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections from outside a host's network namespace, handed on to a port of its loopback address."""

from __future__ import annotations

import contextlib
import socket
import threading

_PIECE = 65536


def stop_listening(listener: socket.socket) -> None:
    """Who knocks is refused from now on, wherever this socket is open; its address stays taken.

    A socket that is shut down again after that keeps it over the next listen(), and passes it on: each connection
    that it accepts would be at its end (Linux net/ipv4/af_inet.c, inet_shutdown).
    """
    if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.shutdown(socket.SHUT_RDWR)
    keep_address(listener)


def keep_address(listener: socket.socket) -> None:
    """Nobody else takes the address while nobody listens."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


class Relay:
    """Takes what comes in at a socket, which may be of another network namespace, to a port here."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        """``listener``: a bound stream socket. It listens from here on, until :meth:`close`."""
        self._listener = listener
        self._port = port
        # connections of an earlier time may linger at this port; those of this one take the option from the listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.listen()
        threading.Thread(target=self._accept, name=f"relay to port {port}", daemon=True).start()

    def close(self) -> None:
        """From now on a connection is refused; those that are under way go on as long as both ends do."""
        stop_listening(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                outer, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(outer,), daemon=True).start()

    def _join(self, outer: socket.socket) -> None:
        """Carry both ways until both have ended. Where nobody listens here, the one outside is closed."""
        with outer:
            try:
                inner = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            with inner:
                back = threading.Thread(target=_carry, args=(inner, outer), daemon=True)
                back.start()
                _carry(outer, inner)
                back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """One direction, to its end. When it breaks, what is under way in the other still arrives."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    for end, how in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
        with contextlib.suppress(OSError):
            end.shutdown(how)
