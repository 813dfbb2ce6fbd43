"""What the analysis of experiments refuses, each with the fix in its message.

AnalysisError (a ValueError)
├── SummaryError   numbers that no sample can have
├── LevelError     a level, power or tuning size outside its range
├── MarginError    a margin or target effect that is not above 0
├── PlanError      a plan, or data for it, that does not fit together
├── CountError     counts and weights that do not fit together
└── GradeError     a grade that is no number, or outside its range

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
