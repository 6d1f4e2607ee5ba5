"""A block of parameters, and the ranges that several of them share. Imports no torch."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Neighbours = Annotated[int, Field(ge=0, le=8)]


class Block(BaseModel):
    """A block of parameters: frozen, strict in types, finite numbers, no unknown key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
