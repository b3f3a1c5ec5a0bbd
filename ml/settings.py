"""The settings file, checked, and the addresses of the environment."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from dotenv import load_dotenv
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.errors import MlError

REPO = Path(__file__).resolve().parents[1]
DEFAULT_FILE = Path(__file__).with_name("settings.yml")

Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyRule(Strict):
    """An application for which the predicate holds is declined, regardless of the score."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    column: Annotated[str, Field(pattern=r"^\w+:\w+$")]
    operator: Literal["is", "below", "above", "in"]
    value: bool | float | str | list[str]
    reason: str

    @property
    def feature(self) -> str:
        return self.column.split(":")[1]


class Features(Strict):
    """What the model sees: numbers, categories with an order, and categories without."""

    numbers: list[str]
    ordered: dict[str, list[str]] = {}
    categories: dict[str, list[str]] = {}
    monotonic: dict[str, Literal[-1, 1]] = {}

    @property
    def names(self) -> list[str]:
        """The features as Feast knows them."""
        return [*self.numbers, *self.ordered, *self.categories]


class Audited(Strict):
    """A column that groups are made of; of a number, by the lower bounds of the groups."""

    column: Annotated[str, Field(pattern=r"^\w+:\w+$")]
    lower_bounds: list[float] = []


class Checks(Strict):
    minimum_rows: int
    minimum_rows_of_each_label: int
    minimum_months: int
    empty_months: Literal["warn", "refuse"]
    leak_auc: Share
    near_duplicate_distance: float


class Training(Strict):
    folds: Annotated[int, Field(ge=2)]
    test_share: Annotated[float, Field(gt=0, lt=1)]
    trials: Annotated[int, Field(ge=1)]
    workers: Annotated[int, Field(ge=1)]
    maximum_rounds: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    approve_at: Share
    learning_curve: list[Share]


class Gates(Strict):
    minimum_auc: Share
    maximum_ece: Share
    fairness_minimum_rows: int
    minimum_selection_ratio: dict[str, Share]
    maximum_true_positive_difference: dict[str, Share]
    noise_share: Share
    maximum_noise_loss: Share
    stability_minimum_rows: int
    minimum_month_auc: Share


class Monitoring(Strict):
    days: Annotated[int, Field(ge=1)]
    minimum_rows: int
    maximum_score_psi: float
    maximum_feature_psi: float
    maximum_policy_share: Share
    maximum_referred_share: Share
    minimum_outcomes: int
    maximum_ece: Share
    minimum_auc: Share


class Interval(Strict):
    level: Annotated[float, Field(gt=0, lt=1)]
    resamples: Annotated[int, Field(ge=20)]


class Tracking(Strict):
    experiment: str
    champion: str
    challenger: str


class TrainingSettings(Strict):
    model: str
    feature_service: str
    label: str
    seed: int
    policy_rules: list[PolicyRule]
    features: Features
    audited: dict[str, Audited]
    protected: list[str]
    checks: Checks
    training: Training
    gates: Gates
    monitoring: Monitoring
    interval: Interval
    tracking: Tracking

    @model_validator(mode="after")
    def learns_nothing_protected(self) -> "TrainingSettings":
        decided = {rule.feature for rule in self.policy_rules}
        if taken := sorted({*self.protected, *decided, self.label} & {*self.features.names}):
            raise ValueError(f"{taken[0]} must not be a feature: it is protected or decides")
        ordered = {*self.features.numbers, *self.features.ordered}
        if unknown := self.features.monotonic.keys() - ordered:
            raise ValueError(f"monotonic: {min(unknown)} has no order")
        return self


def settings_file(env: dict[str, str]) -> Path:
    """The file that ML_SETTINGS names, or the project's own."""
    return Path(env.get("ML_SETTINGS") or DEFAULT_FILE)


def load_settings(file: Path = DEFAULT_FILE) -> TrainingSettings:
    """Read and check a settings file. Raises MlError if it is missing or wrong."""
    try:
        return parse_settings(file.read_bytes(), str(file))
    except OSError as error:
        raise MlError(
            f"cannot read {file}: {error.strerror}", "name another by --settings or ML_SETTINGS"
        ) from None


def parse_settings(content: bytes, origin: str) -> TrainingSettings:
    """Check the content of a settings file. Raises MlError, with its origin, if it is wrong."""
    try:
        return TrainingSettings.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise MlError(f"{origin} is not YAML: {why}", "ml/settings.yml shows the form") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MlError(
            f"{origin}: {where or 'settings'}: {first['msg']}", "ml/settings.yml shows the form"
        ) from None


def environment() -> dict[str, str]:
    """The settings of the stack that ENV_FILE or .env names; the environment goes before them."""
    load_dotenv(REPO / os.environ.get("ENV_FILE", ".env"))
    return dict(os.environ)


def setting(env: dict[str, str], name: str) -> str:
    """One of them. Raises MlError if there is none."""
    if not (value := env.get(name)):
        raise MlError(f"{name} is not set", "`make env` adds it to .env")
    return value


def as_text(value: Any) -> str:  # noqa: ANN401
    """A setting as YAML, for the record of a run."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
