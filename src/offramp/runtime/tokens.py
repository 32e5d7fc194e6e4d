"""Bearer tokens: what a tier asks for before it answers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from offramp.errors import ConfigError

__all__ = ["Token", "TokenFile", "token_for", "variable_of"]

#: fewer characters than this can be guessed
LEAST_CHARACTERS = 16

_log = logging.getLogger(__name__)


class Token:
    """The tokens a tier accepts; the first is the one that is sent. Never shown, logged or compared in the clear.

    Parameters
    ----------
    secrets : one or several, so that a new one can be handed out before the old one goes
    source : where they come from, for messages

    Raises
    ------
    ConfigError : there is none, or one is too short, or holds a blank or another character no header may hold

    Examples
    --------
    >>> token = Token(["correct-horse-battery"])
    >>> token.allows("Bearer correct-horse-battery"), token.allows("Bearer wrong"), token.allows(None)
    (True, False, False)
    >>> token
    Token(<1 secret>)
    """

    def __init__(self, secrets: Sequence[str], source: str = "the token") -> None:
        if not secrets:
            raise ConfigError(f"{source} is empty; write a token of at least {LEAST_CHARACTERS} characters there")
        for secret in secrets:
            if len(secret) < LEAST_CHARACTERS or not re.fullmatch(r"[!-~]+", secret):
                raise ConfigError(
                    f"{source}: a token must be {LEAST_CHARACTERS} or more printable ASCII characters without blanks; "
                    "make one with 'openssl rand -hex 32'"
                )
        self._first = secrets[0]
        self._digests = tuple(hashlib.sha256(secret.encode()).digest() for secret in secrets)

    def allows(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header holds one of them; takes the same time for any wrong one."""
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode(errors="replace")).digest()
        matches = [hmac.compare_digest(digest, mine) for mine in self._digests]
        return any(matches) and scheme.lower() == "bearer"

    @property
    def header(self) -> tuple[str, str]:
        """The gRPC metadata that proves it."""
        return "authorization", f"Bearer {self._first}"

    def __repr__(self) -> str:
        count = len(self._digests)
        return f"Token(<{count} secret{'s' if count > 1 else ''}>)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token cannot be stored")


class TokenFile(Token):
    """The tokens of a file, read again when it has changed: neither servers nor clients need a restart.

    Parameters
    ----------
    path : one token a line
    tier : whose they are, for messages

    Raises
    ------
    ConfigError : the file cannot be read, or holds no token
    """

    def __init__(self, path: Path, tier: str) -> None:
        self._path, self._tier = path, tier
        self._read()

    def allows(self, authorization: str | None) -> bool:
        self._look()
        return super().allows(authorization)

    @property
    def header(self) -> tuple[str, str]:
        self._look()
        return super().header

    def _read(self) -> None:
        try:
            self._seen = self._stamp()
            lines = self._path.read_text().split()
            mode = self._path.stat().st_mode
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise ConfigError(f"{self._path}: cannot read the token file of tier {self._tier!r} ({why})") from error
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            _log.warning("%s: the token file can be read by others than its owner; run 'chmod 600' on it", self._path)
        super().__init__(lines, str(self._path))

    def _look(self) -> None:
        """Take over what the file holds now; a damaged one changes nothing."""
        try:
            if self._stamp() != self._seen:
                self._read()
        except (OSError, ConfigError) as error:
            _log.error("the new tokens are not used, the old ones stay: %s", error)

    def _stamp(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def variable_of(tier: str) -> str:
    """The environment variable that may hold a tier's token.

    Examples
    --------
    >>> variable_of("edge-2")
    'OFFRAMP_TOKEN_EDGE_2'
    """
    return "OFFRAMP_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", tier.upper())


def token_for(tier: str, file: str | Path | None) -> Token | None:
    """A tier's token: from its file, one a line, or else from the environment; ``None`` where there is neither.

    Raises
    ------
    ConfigError : the file cannot be read, or holds no token
    """
    if file is None:
        variable = variable_of(tier)
        value = os.environ.get(variable)
        return None if value is None else Token(value.split(), f"the environment variable {variable}")
    return TokenFile(Path(file), tier)
