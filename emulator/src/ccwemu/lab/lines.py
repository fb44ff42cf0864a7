# SPDX-License-Identifier: GPL-2.0-or-later
"""A unix socket where each line is a JSON object: questions, and one answer to each. Descriptors come beside."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)

Message = dict[str, Any]


class Refusal(Exception):
    """An answer that is an error: an errno's name and what to tell the user."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Peer:
    """One connection: who is at its other end, and what to do when it ends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = b""
        self._descriptors: list[int] = []
        self._sending = threading.Lock()
        self._endings: list[Callable[[], None]] = []
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.pid, self.uid, self.gid = struct.unpack("3i", credentials)

    def send(self, message: Message, *descriptors: int) -> None:
        """Answer, or tell unasked. A peer that is gone is no error: its end is seen by the reader."""
        data = json.dumps(message).encode() + b"\n"
        try:
            with self._sending:
                if descriptors:
                    socket.send_fds(self._connection, [data], list(descriptors))
                else:
                    self._connection.sendall(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EBADF):
                raise

    def receive(self) -> Message | None:
        """The next message; None at the end. Descriptors are kept for :meth:`take_descriptors`."""
        while b"\n" not in self._pending:
            try:
                data, descriptors, _flags, _address = socket.recv_fds(self._connection, 65536, 8)
            except OSError:
                return None
            self._descriptors += descriptors
            if not data:
                return None
            self._pending += data
        line, _newline, self._pending = self._pending.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError(f"{line!r} is no JSON object")
        return message

    def take_descriptors(self) -> list[int]:
        taken, self._descriptors = self._descriptors, []
        return taken

    def at_end(self, action: Callable[[], None]) -> None:
        """Have something done when the connection ends. The last registered comes first."""
        self._endings.append(action)

    def close(self) -> None:
        while self._endings:
            try:
                self._endings.pop()()
            except Exception:
                log.exception("at the end of a connection")
        for descriptor in self.take_descriptors():
            os.close(descriptor)
        self._connection.close()

    def cut(self) -> None:
        """End the connection from another thread; its own thread then closes it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


Operation = Callable[[Peer, Message], "Message | None"]
"""Answers a message; None where it has sent its answer itself. Raises Refusal or OSError for an error answer."""


class Server:
    """Answers on a socket, one thread for each connection."""

    def __init__(self, path: str, operations: Mapping[str, Operation], *, owner: int | None = None) -> None:
        """``owner``: the only user, besides this process's own, that is answered; the socket becomes theirs."""
        self._operations = dict(operations)
        self._owners = {os.geteuid()} | ({owner} if owner is not None else set())
        self._listener = _listen(path, owner)
        self._peers: set[Peer] = set()
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, name=f"socket {os.path.basename(path)}", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            peers = list(self._peers)
        for peer in peers:
            peer.cut()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection)
            with self._guard:
                self._peers.add(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        try:
            while (message := peer.receive()) is not None:
                answer = self._answer(peer, message)
                if answer is not None:
                    peer.send(answer)
        except ValueError as error:
            peer.send({"error": "EPROTO", "message": f"not understood: {error}"})
        finally:
            with self._guard:
                self._peers.discard(peer)
            peer.close()

    def _answer(self, peer: Peer, message: Message) -> Message | None:
        name = message.get("op")
        operation = self._operations.get(name) if isinstance(name, str) else None
        if operation is None:
            known: Sequence[str] = sorted(self._operations)
            return {"error": "ENOSYS", "message": f"unknown request {name!r}; known here: {', '.join(known)}"}
        if peer.uid not in self._owners:
            return {"error": "EPERM", "message": f"{name}: only root may do this"}
        try:
            return operation(peer, message)
        except Refusal as refusal:
            return {"error": refusal.name, "message": str(refusal)}
        except OSError as error:
            number = error.errno or errno.EIO
            return {"error": errno.errorcode.get(number, "EIO"), "message": str(error.strerror or error)}
        except Exception as error:
            log.exception("request %s", name)
            return {"error": "EIO", "message": f"{name}: unexpected: {error!r}; see the lab's daemon.log"}


def _listen(path: str, owner: int | None) -> socket.socket:
    """A listening socket. Its address may be longer than the 107 bytes that one may have."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        os.chmod(path, 0o666 if owner is not None else 0o600)
        if owner is not None and os.geteuid() == 0:
            os.chown(path, owner, owner)
        listener.listen(64)
    finally:
        os.close(directory)
    return listener


def ask(path: str, message: Message) -> Message:
    """One question. Raises OSError where nobody listens, Refusal where the answer is an error."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        peer = Peer(connection)
        peer.send(message)
        answer = peer.receive()
    finally:
        connection.close()
        os.close(directory)
    if answer is None:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET), path)
    if "error" in answer:
        raise Refusal(answer["error"], answer["message"])
    return answer
