"""Errors of the statistics. Each message says how to correct the input.

AnalysisError (a ValueError)
├── SummaryError   impossible values for a sample
├── LevelError     a level, power or tuning size outside its range
├── MarginError    a margin or target effect that is not above 0
├── PlanError      an inconsistent plan, or data that do not match it
├── CountError     inconsistent counts and weights
└── GradeError     a grade that is not a number, or outside its range

"Not enough data" is none of these: it is a value of the results.
"""


class AnalysisError(ValueError):
    pass


class SummaryError(AnalysisError):
    pass


class LevelError(AnalysisError):
    pass


class MarginError(AnalysisError):
    pass


class PlanError(AnalysisError):
    pass


class CountError(AnalysisError):
    pass


class GradeError(AnalysisError):
    pass
