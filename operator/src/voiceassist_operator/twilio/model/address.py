"""Where Twilio's products are (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where Twilio's products are: the public ones of a region and an edge, or another server for all of them."""

    api_url: str | None = None
    """Contains {product}."""
    region: str | None = None
    edge: str | None = None

    def base(self, product: str) -> str:
        """Returns the base URL of a product (sync, serverless, serverless-upload, flex-api), without a slash at the end."""
        if self.api_url is not None:
            return self.api_url.replace("{product}", product).rstrip("/")
        if self.region is None:
            return f"https://{product}.twilio.com"
        middle = f"{self.edge}.{self.region}" if self.edge else self.region
        return f"https://{product}.{middle}.twilio.com"
