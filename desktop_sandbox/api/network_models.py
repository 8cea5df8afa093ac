"""Shapes of header rules, which have secrets in them: what is shown of them is masked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
ProxyUrl = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class HeaderRule(BaseModel):
    """Headers that the gateway sets in each request to `host`, sent by the guest as plain HTTP to port 80, and which
    goes on over TLS to port 443. Values are never shown again: `***` stands for them."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(examples=["api.example.org"])
    set: dict[HeaderName, HeaderValue] = Field(
        min_length=1, max_length=20, repr=False, examples=[{"Authorization": "Bearer 5ec2e7"}]
    )
