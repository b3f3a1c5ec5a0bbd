"""What a client of the scoring server sends and receives."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FeatureValue = float | str | bool | None


class ScoreRequest(BaseModel):
    """An application that the lake knows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    application_id: Annotated[int, Field(ge=-(2**63), lt=2**63, examples=[42])]
    requested_amount: Annotated[
        float | None,
        Field(
            gt=0,
            le=1e12,
            allow_inf_nan=False,
            description="What is asked for now; without it, what was applied for",
        ),
    ] = None


class Reason(BaseModel):
    """What a feature does to the score, compared with its typical value."""

    feature: str
    value: FeatureValue
    typical: FeatureValue
    effect: float = Field(description="The score with this value less the score with the typical")
    direction: Literal["raises the score", "lowers the score", "changes nothing"]


class Decision(BaseModel):
    """One decision. `score` is the probability of approval; null if a person must decide."""

    request_id: str
    application_id: int
    decision: Literal["approve", "decline", "refer"]
    score: float | None
    policy_rule: str | None = Field(description="The rule that decided before the model")
    explanation: str | None = Field(description="Why it is not approved, in a sentence")
    reasons: list[Reason] = Field(description="The strongest first; none if a rule decided")
    model: str
    model_version: int
    features_as_of: datetime


class Readiness(BaseModel):
    ready: bool
    model_version: int | None
    problems: list[str]
