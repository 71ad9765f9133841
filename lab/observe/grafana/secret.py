"""Grafana's administrator: a password made once, in a file that git does not see."""

import os
import secrets
from pathlib import Path
from typing import Final

from lab.paths import state

NAME: Final = "grafana-admin-password"
_BYTES: Final = 24


def admin_password(folder: Path | None = None) -> Path:
    """The file with the password; made if it is absent or empty, never changed.

    Compose mounts the file, and Grafana reads it as a user of its own: the file can be read by
    all, and its folder by nobody else.
    """
    home = folder or state() / "secrets"
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    path = home / NAME
    if not path.is_file() or not path.stat().st_size:
        # In one piece or not at all: Grafana keeps the first password that it reads.
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(secrets.token_urlsafe(_BYTES), encoding="ascii")
        draft.chmod(0o644)
        try:
            os.link(draft, path)
        except FileExistsError:
            if not path.stat().st_size:
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return path
