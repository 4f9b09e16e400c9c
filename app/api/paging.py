"""Pages of a list, by an opaque token that names the last entry of the page before (AIP-158)."""

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from app.api.errors import InvalidPageToken

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class PageRequest(BaseModel):
    """Which page of a list; lists with filters add theirs."""

    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(default=0, ge=0, description=f"0 means {DEFAULT_PAGE_SIZE}; at most {MAX_PAGE_SIZE} come.")
    page_token: str = Field(default="", max_length=512, description="`next_page_token` of the page before.")

    @property
    def limit(self) -> int:
        """Entries on one page."""
        return min(self.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)

    @property
    def before(self) -> str | None:
        """The last entry of the page before, as the list names it; raises ``InvalidPageToken``."""
        return _read_token(self.page_token) if self.page_token else None

    def next_page(self, path: str, last: str | None) -> dict[str, Any]:
        """``next_page_token`` and ``next_link`` of a page that ends with ``last``; nothing after the last page."""
        if last is None:
            return {}
        token = base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")
        query = self.model_dump(mode="json", exclude_defaults=True) | {"page_token": token}
        return {"next_page_token": token, "next_link": f"{path}?{urlencode(query)}"}


class Page(BaseModel):
    """What every page ends with."""

    next_page_token: str | None = Field(default=None, description="Null on the last page.")
    next_link: str | None = Field(default=None, description="The next page's path and query; null on the last page.")


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidPageToken(
            "the page token is not one of this service's", remedy="Begin again without page_token."
        ) from None
