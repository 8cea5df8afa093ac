"""Whom things are done as: accounts of the guest, and the environment their programs get."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, NamedTuple

from guest_image.agent.errors import OpError

if TYPE_CHECKING:
    from guest_image.agent.config import AgentConfig

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games"


class Account(NamedTuple):
    """A user of the guest with all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


class Accounts:
    """Looks accounts up, and remembers them."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._known: dict[str, Account] = {}

    def get(self, name: str) -> Account:
        """The account of that name. OpError "not-found" if the guest has none."""
        account = self._known.get(name)
        if account is None:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                raise OpError(
                    "not-found", f"no user {name!r:.80}", hint=f"{self._config.user} and root exist"
                ) from None
            groups = tuple(os.getgrouplist(name, entry.pw_gid))
            shell = entry.pw_shell or "/bin/sh"
            account = Account(name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, shell)
            self._known[name] = account
        return account

    def environment(self, account: Account) -> dict[str, str]:
        """Environment of a program that `account` runs on the desktop: the session's own, as far as it is up."""
        uid = self.get(self._config.user).uid if account.uid else 0
        base = {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "DISPLAY": self._config.display,
            "XDG_RUNTIME_DIR": f"/run/user/{uid}",
        }
        if account.uid:
            base["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path=/run/user/{uid}/bus"
        base |= self._session_environment()
        if not account.uid:
            base.pop("DBUS_SESSION_BUS_ADDRESS", None)
            base["PATH"] = PATH
            base["XDG_RUNTIME_DIR"] = "/run/user/0"
        own = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}
        return base | own

    def _session_environment(self) -> dict[str, str]:
        try:
            with open(self._config.environment, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read(1 << 16)
        except OSError:
            return {}
        pairs = (line.partition("=") for line in text.splitlines())
        return {key: value for key, found, value in pairs if found and key}
