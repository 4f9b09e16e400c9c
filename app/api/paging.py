"""Pages of what is listed newest first: a token is the id of the last row of the page before."""

import base64
import binascii

from pydantic import BaseModel, ConfigDict, Field

from app.api.errors import InvalidPageToken

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class PageWish(BaseModel):
    """Which page to give."""

    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(default=0, ge=0, description=f"0 means {DEFAULT_PAGE_SIZE}; at most {MAX_PAGE_SIZE} come.")
    page_token: str = Field(default="", description="`next_page_token` of the page before.")

    @property
    def limit(self) -> int:
        """Rows on one page."""
        return min(self.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)

    @property
    def before(self) -> str | None:
        """The id of the last row of the page before; raises ``InvalidPageToken``."""
        return _read(self.page_token) if self.page_token else None


def page_token(last_id: str) -> str:
    """The token of the page after the one that ends with this row."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def _read(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidPageToken(
            "the page token was not made by this service", remedy="Begin again without page_token."
        ) from None
