"""A real SFTP server on loopback, in a thread of its own, with a folder of files behind it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from roster_pipeline.oneroster.bundle import BundleLimits, SftpSource

USER, PASSWORD = "export", "open sesame"
LIMITS = BundleLimits(settle_seconds=0.05, connect_seconds=5, download_seconds=20)


class _Server(asyncssh.SSHServer):
    def __init__(self, allowed: asyncssh.SSHKey | None) -> None:
        self._allowed = allowed

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return self._allowed is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return (
            username == USER and self._allowed is not None and key.get_fingerprint() == self._allowed.get_fingerprint()
        )


class Files(asyncssh.SFTPServer):
    """Serves one folder; tests change single answers."""

    before_stat: Callable[[str], None] = staticmethod(lambda path: None)
    before_read: Callable[[], None] = staticmethod(lambda: None)

    def stat(self, path: bytes) -> Any:
        type(self).before_stat(os.fsdecode(path))
        return super().stat(path)

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        type(self).before_read()
        return super().read(file_obj, offset, size)


class SftpServer:
    """`with SftpServer(folder) as server`: `server.source(...)` leads there."""

    def __init__(self, folder: Path, files: type[Files] = Files, allowed: asyncssh.SSHKey | None = None) -> None:
        self.keys = [asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ecdsa-sha2-nistp256")]
        self.port = 0
        self._folder, self._files, self._allowed = folder, files, allowed
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sftp-server", daemon=True)

    @property
    def fingerprint(self) -> str:
        return self.keys[0].get_fingerprint()

    def source(self, path: str = "/bundle.zip", **more: Any) -> SftpSource:
        fields: dict[str, Any] = {
            "host_key": self.fingerprint,
            "user": USER,
            "secret": PASSWORD,
            "allow_private": True,
            "limits": LIMITS,
        }
        return SftpSource(host="127.0.0.1", port=self.port, path=path, **(fields | more))

    def __enter__(self) -> SftpServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        folder = str(self._folder).encode()
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(self._allowed),
            server_host_keys=self.keys,
            sftp_factory=lambda channel: self._files(channel, chroot=folder),
        )
        self.port = acceptor.get_port()
        self._ready.set()
        await self._stop.wait()
        acceptor.close()
        await acceptor.wait_closed()
