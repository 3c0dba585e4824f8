"""What the plugin names: ``Options`` and ``makeService``, for ``twistd imapd``."""

from imapd.service.options import Options
from imapd.service.service import makeService

__all__ = ["Options", "makeService"]
