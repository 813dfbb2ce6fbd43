"""Do the verdicts keep their word? Simulated experiments with a known truth, in tables.

    python -m benchmarks.simulations                    # all tables, minutes on one core
    python -m benchmarks.simulations --only coverage --runs 10000

A share is followed by its standard error in brackets. The same seed prints the same tables.
"""

from benchmarks import guarantees, intervals, sample_ratio, verdicts
from benchmarks.tables import Table, print_tables, table_options

SEED = 20261122


TABLES = {
    "verdicts": Table(
        "Verdicts given at any of 60 daily looks (level 5 %)", verdicts.wrong_verdicts, 2000
    ),
    "power": Table("Power: one planned look against looking every day", verdicts.power, 500),
    "coverage": Table("Coverage of 95 % intervals", intervals.coverage, 2000),
    "srm": Table("Sample-ratio alarms on any of 60 days", sample_ratio.alarms, 5000),
    "promises": Table("Thresholds calibrated at a risk of 10 %", guarantees.promises, 500),
    "drift": Table("Looks that say scores moved", guarantees.drift_alarms, 2000),
}


def main() -> None:
    parser = table_options(
        TABLES, "Simulates experiments and prints tables.", SEED, "experiments a row"
    )
    options = parser.parse_args()
    print_tables(TABLES, options, "experiments a row")


if __name__ == "__main__":
    main()
