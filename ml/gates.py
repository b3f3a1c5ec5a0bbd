"""Whether a candidate may become champion, each answer with its sentence."""

from dataclasses import dataclass

import numpy as np

from ml import fairness
from ml.evaluate import Evidence
from ml.metrics import Estimate
from ml.settings import TrainingSettings


@dataclass(frozen=True)
class Gate:
    name: str
    passed: bool
    sentence: str


def judge(evidence: Evidence, champion: Estimate | None, settings: TrainingSettings) -> list[Gate]:
    """All gates. `champion` is the candidate's AUC less the champion's, on the same rows."""
    return [
        ranking(evidence, settings),
        not_worse(champion),
        calibration(evidence, settings),
        *fair(evidence.groups, settings),
        noise(evidence, settings),
        stability(evidence, settings),
    ]


def verdict(gates: list[Gate]) -> str:
    """The sentence why a candidate stays challenger; empty if it passes."""
    return "; ".join(gate.sentence for gate in gates if not gate.passed)


def ranking(evidence: Evidence, settings: TrainingSettings) -> Gate:
    auc = evidence.figures[evidence.model][evidence.stricter]["auc"]
    least = settings.gates.minimum_auc
    passed = auc.value >= least
    return Gate("ranking", passed, f"its AUC is {auc}, {'at least' if passed else 'below'} {least}")


def not_worse(difference: Estimate | None) -> Gate:
    if difference is None:
        return Gate("champion", True, "there is no champion to compare with")
    passed = difference.high >= 0
    word = "not worse" if passed else "worse"
    return Gate(
        "champion",
        passed,
        f"it is {word} than the champion: AUC differs by {difference} on the same rows",
    )


def calibration(evidence: Evidence, settings: TrainingSettings) -> Gate:
    found, limit = (
        evidence.figures[evidence.model][evidence.stricter]["ece"],
        settings.gates.maximum_ece,
    )
    # As with the champion: only what is beyond the limit by more than chance fails.
    passed = found.low <= limit
    if found.value <= limit:
        word = f"within {limit}"
    else:
        word = f"above {limit}" + (", but not by more than chance" if passed else "")
    return Gate("calibration", passed, f"its calibration error is {found}, {word}")


def fair(groups: list[fairness.Group], settings: TrainingSettings) -> list[Gate]:
    gates = settings.gates
    found = []
    for name, least in gates.minimum_selection_ratio.items():
        ratio = fairness.selection_ratio(of(groups, name, gates.fairness_minimum_rows))
        found.append(
            Gate(
                f"selection by {name}",
                ratio >= least,
                f"the least approved {name} is approved {ratio:.3f} times as often as the most"
                f" approved; the limit is {least}",
            )
        )
    for name, most in gates.maximum_true_positive_difference.items():
        difference = fairness.true_positive_difference(
            of(groups, name, gates.fairness_minimum_rows)
        )
        found.append(
            Gate(
                f"true positives by {name}",
                difference <= most,
                f"true-positive rates by {name} differ by {difference:.3f}; the limit is {most}",
            )
        )
    return found


def of(groups: list[fairness.Group], name: str, rows: int) -> list[fairness.Group]:
    return [group for group in groups if group.audited == name and group.rows >= rows]


def noise(evidence: Evidence, settings: TrainingSettings) -> Gate:
    limit, loss = settings.gates.maximum_noise_loss, evidence.noise_loss
    return Gate(
        "noise",
        loss <= limit,
        f"numbers off by up to {settings.gates.noise_share:.0%} cost {loss:.4f} of AUC;"
        f" the limit is {limit}",
    )


def stability(evidence: Evidence, settings: TrainingSettings) -> Gate:
    gates = settings.gates
    months = evidence.months[evidence.months["rows"] >= gates.stability_minimum_rows]
    if months.empty:
        return Gate("stability", True, "no month has enough applications to be judged by itself")
    worst = months.iloc[int(np.argmin(months["auc"]))]
    return Gate(
        "stability",
        bool(worst["auc"] >= gates.minimum_month_auc),
        f"the worst month is {worst['month']} with an AUC of {worst['auc']:.4f};"
        f" the limit is {gates.minimum_month_auc}",
    )
