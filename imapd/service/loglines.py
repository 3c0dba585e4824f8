"""Lines that come with each login, into Twisted's text log for a tenth of the work.

An event carries its text ready made, and what stands before it (time, namespace and
level) is made once a second, by the log itself.  Every other observer finds an event
like any other.

The observer that ``twistd`` has made is found in a private list of the publisher.  A
component ``ILogObserver`` of the application would be a public place for one of ours,
but ``twistd`` then makes none: what ``--logfile``, ``--syslog``, ``--nodaemon`` and
``--prefix`` mean, and how a log is rotated, would be written here a second time, and
would differ some day from what every other plugin does.  ``--logger`` is the user's.
"""

import io
import time
from collections.abc import Callable
from typing import Final

from twisted.logger import (
    FileLogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogPublisher,
    globalLogPublisher,
    textFileLogObserver,
)

#: The key of the text in an event.
TEXT: Final = "imapd_text"
_FORMAT: Final = f"{{{TEXT}}}"
_PROBE: Final = "x"

Format = Callable[[LogEvent], str | None]


def inform(log: Logger, text: str, **fields: object) -> None:
    """Log a text that is ready; ``fields`` are for observers that take events apart."""
    log.observer(
        {
            **fields,
            TEXT: text,
            "log_logger": log,
            "log_level": LogLevel.info,
            "log_namespace": log.namespace,
            "log_source": log.source,
            "log_format": _FORMAT,
            "log_time": time.time(),
        }
    )


def hasten(publisher: LogPublisher = globalLogPublisher) -> None:
    """Let the text logs of this process write ready lines with less work.

    Only those of Twisted's own making (``--logfile``, standard output), whose lines
    are known: anybody else's format is left as it is.
    """
    # Private; where a later Twisted has another name for it, only the haste is lost.
    for observer in getattr(publisher, "_observers", ()):
        if type(observer) is FileLogObserver and _is_usual(observer.formatEvent):
            observer.formatEvent = ReadyLines(observer.formatEvent)


def _is_usual(format_event: Format) -> bool:
    usual = textFileLogObserver(io.StringIO()).formatEvent
    code = getattr(format_event, "__code__", None)
    return code is usual.__code__ and format_event(_event(0.0)) == usual(_event(0.0))


def _event(seconds: float, namespace: str = "imapd") -> LogEvent:
    """An event whose text is known."""
    return {
        "log_level": LogLevel.info,
        "log_namespace": namespace,
        "log_format": _PROBE,
        "log_time": seconds,
    }


class ReadyLines:
    """In the place of a format whose times are whole seconds."""

    def __init__(self, usual: Format) -> None:
        """Remember how everything else is formatted."""
        self._usual = usual
        self._made_for: tuple[int, object] | None = None
        self._before = ""

    def __call__(self, event: LogEvent) -> str | None:
        """Return the line of an event, with its end."""
        text = event.get(TEXT)
        if not text:
            return self._usual(event)
        wanted = int(event["log_time"]), event["log_namespace"]
        if wanted != self._made_for:
            line = self._usual(_event(event["log_time"], event["log_namespace"]))
            self._before = (line or "").removesuffix(_PROBE + "\n")
            self._made_for = wanted
        return f"{self._before}{text.replace(chr(10), chr(10) + chr(9))}\n"
