"""What the generator knows of the real file: percentiles, shares and coefficients.

Learned once from the 45,000 rows of loan_data.csv. A column of numbers is its
quantile function at ``PROBABILITIES``; where a value is so common that it covers
several percentiles (a rate of 11.01, an amount of 10,000) it stays that common.
"""

import csv
from pathlib import Path
from typing import Final

PROBABILITIES: Final = (
    *(percent / 100 for percent in range(0, 100, 2)),
    0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0,
)  # fmt: skip

QUANTILES: Final[dict[str, tuple[float, ...]]] = {
    "person_income": (
        8000, 21551, 26064, 29775, 32030, 35118, 36879, 37416, 39650, 41678, 43081,
        44297, 46455, 48273, 49112, 51221, 52627, 54707, 55671, 58055, 59453, 60930,
        61772, 63701, 65804, 67048, 69169, 71698, 72967, 73798, 76436, 78893, 80550,
        84242, 85404, 88474, 90978, 94211, 96984, 100665, 103839, 108994, 114817,
        120668, 125986, 133276, 144960, 156942, 180661, 222351, 271448, 360803,
        802050, 1076036, 2280980, 7200766,
    ),
    "loan_amnt": (
        500, 1500, 2000, 2263, 2500, 3000, 3000, 3500, 4000, 4000, 4400, 4800, 5000,
        5000, 5000, 5400, 5921, 6000, 6000, 6250, 6600, 7000, 7200, 7500, 8000, 8000,
        8390, 9000, 9200, 9975, 10000, 10000, 10000, 10000, 11000, 12000, 12000, 12000,
        12950, 14000, 14519, 15000, 15000, 16000, 17620, 19200, 20000, 21094, 24250,
        25000, 28390, 35000, 35000, 35000, 35000, 35000,
    ),
    "loan_int_rate": (
        5.42, 5.79, 6.03, 6.54, 6.8, 6.99, 7.29, 7.49, 7.51, 7.74, 7.88, 8, 8.49, 8.88,
        8.96, 9.44, 9.74, 9.97, 10.08, 10.37, 10.58, 10.65, 10.83, 10.99, 11.01, 11.01,
        11.01, 11.01, 11.14, 11.36, 11.49, 11.71, 11.86, 12.02, 12.29, 12.53, 12.69,
        12.92, 13.11, 13.38, 13.49, 13.8, 14.09, 14.35, 14.7, 14.97, 15.33, 15.93,
        16.32, 17.27, 18.25, 19.03, 20, 20, 20, 20,
    ),
    "credit_score": (
        390, 513, 532, 545, 554, 563, 570, 576, 581, 586, 591, 595, 599, 603, 607, 611,
        614, 617, 620, 623, 626, 629, 632, 634, 637, 640, 642, 645, 647, 649, 652, 654,
        656, 659, 661, 663, 666, 668, 671, 673, 676, 679, 681, 685, 688, 692, 696, 700,
        707, 716, 724, 731, 746, 756, 789, 850,
    ),
}  # fmt: skip

# Rows by age, up to the greatest that is plausible.
AGE_COUNTS: Final[dict[int, int]] = {
    20: 17, 21: 1289, 22: 4236, 23: 5254, 24: 5138, 25: 4507, 26: 3659, 27: 3095,
    28: 2728, 29: 2455, 30: 2021, 31: 1645, 32: 1403, 33: 1240, 34: 980, 35: 847,
    36: 740, 37: 666, 38: 503, 39: 389, 40: 349, 41: 303, 42: 247, 43: 215, 44: 177,
    45: 135, 46: 114, 47: 112, 48: 93, 49: 59, 50: 56, 51: 46, 52: 42, 53: 35, 54: 24,
    55: 24, 56: 20, 57: 17, 58: 20, 59: 6, 60: 16, 61: 12, 62: 7, 63: 3, 64: 7, 65: 10,
    66: 11, 67: 1, 69: 5, 70: 7, 73: 3, 76: 1, 78: 1, 80: 1, 84: 1, 94: 1,
}  # fmt: skip
# The slips of the pen: 7 of 45,000 are older than 100.
IMPOSSIBLE_AGES: Final = (109, 116, 123, 144)
IMPOSSIBLE_AGE_SHARE: Final = 7 / 45_000

# Experience begins at 22, give or take.
CAREER_START_MEAN: Final = 22.35
CAREER_START_DEVIATION: Final = 1.8

# Length of the credit history in years: from this age, between these bounds.
CREDIT_HISTORY: Final = ((0, 2, 4), (27, 4, 10), (36, 11, 17), (51, 19, 30))


def _read_shares(file: Path) -> dict[str, dict[str, float]]:
    shares: dict[str, dict[str, float]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            shares.setdefault(row["attribute"], {})[row["value"]] = float(row["share"])
    return shares


# What a column may say, and how often it does. The file is dbt's seed, too, by which
# silver accepts or rejects.
CATEGORIES: Final = _read_shares(Path(__file__).with_name("accepted_values.csv"))

# How a column's rank leans on another's (of normal scores).
INCOME_ON_AGE: Final = 0.15
AMOUNT_ON_INCOME: Final = 0.48
RATE_ON_AMOUNT: Final = 0.10
SCORE_ON_AGE: Final = 0.17
GREATEST_PERCENT_INCOME: Final = 0.66

# A previous default decides: no such application is approved. Among the others
# approval is a logistic regression; the intercept makes 22.2 % of all approved.
APPROVAL_INTERCEPT: Final = 6.52
APPROVAL_PERCENT_INCOME: Final = 9.271
APPROVAL_INT_RATE: Final = 0.326
APPROVAL_LOG_INCOME: Final = -1.089
APPROVAL_HOME: Final = {"MORTGAGE": 0.0, "RENT": 0.629, "OTHER": 0.629, "OWN": -1.547}
APPROVAL_INTENT: Final = {
    "EDUCATION": 0.0,
    "MEDICAL": 0.703,
    "VENTURE": -0.405,
    "PERSONAL": 0.0,
    "DEBTCONSOLIDATION": 0.703,
    "HOMEIMPROVEMENT": 0.703,
}
