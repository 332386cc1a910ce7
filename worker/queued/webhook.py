"""Tells a URL of the settings that a job has ended. At least once or not at all: what counts is in the bucket."""

import hashlib
import hmac
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from jobs.errors import SettingsWrong
from jobs.settings import secret_from
from worker.settings import Settings

SIGNATURE = "X-Framesift-Signature"
_TIMEOUT_S = 10.0
_ATTEMPTS = 3

logger = logging.getLogger(__name__)


def notify(settings: Settings, event: dict[str, Any], *, pause: Callable[[float], None]) -> bool:
    """POST an event as JSON; return whether it was taken. Redirects are not followed.

    With FRAMESIFT_WEBHOOK_SECRET_FILE the header X-Framesift-Signature holds `sha256=` and the hex HMAC-SHA256 of the
    body. The URL may itself be a secret, so no log names it.
    """
    if settings.webhook_url is None:
        return False
    body = json.dumps(event, sort_keys=True).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "framesift"}
    if settings.webhook_secret_file is not None:
        try:
            key = secret_from(settings.webhook_secret_file, name="FRAMESIFT_WEBHOOK_SECRET_FILE")
        except SettingsWrong as error:  # an unsigned call would be taken for a forged one
            logger.warning("webhook: not called: %s", error)
            return False
        headers[SIGNATURE] = f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"
    request = urllib.request.Request(  # noqa: S310  # the scheme is checked by the settings
        settings.webhook_url.get_secret_value(), data=body, headers=headers, method="POST"
    )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _opener.open(request, timeout=_TIMEOUT_S):
                return True
        except urllib.error.HTTPError as error:
            answer = f"HTTP status {error.code}"
            error.close()
        except (OSError, ValueError) as error:
            answer = type(error).__name__
        logger.warning("webhook: try %d of %d: %s", attempt, _ATTEMPTS, answer)
        if attempt < _ATTEMPTS:
            pause(2.0**attempt)
    return False


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: what was signed for one place is not for another."""


_opener = urllib.request.build_opener(_NoRedirects)
