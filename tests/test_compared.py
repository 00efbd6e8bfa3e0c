"""compared: two runs of the benchmark side by side."""

from benchmarks import compared

STEP = {"method": "pulse", "phase": 1, "photos": 8, "compile_s": 3.0, "ms": 20.0, "spread_ms": 1.0}
RECORD = {
    "device": "1 x cpu",
    "jax": "0",
    "precision": "float32",
    "prior": "toy",
    "matrix_gflop_per_s": 100.0,
    "copy_gb_per_s": 10.0,
    "steps": [STEP, STEP | {"photos": 1, "ms": 4.0}],
}


def test_a_change_counts_from_both_spreads_on():
    """A program is compared with another one, noise is told as a change, or a program that only one
    run has breaks the table."""
    now = [
        STEP | {"ms": 10.0, "compile_s": 9.0},
        STEP | {"photos": 1, "ms": 5.0},
        STEP | {"method": "rls"},
    ]
    rows = compared.compared("steps", RECORD["steps"], now)
    assert [(row["photos"], row["times_faster"], row["clear"]) for row in rows] == [
        (8, 2.0, "yes"),
        (1, 0.8, ""),
    ]
    assert compared.compared("steps", [], now) == []


def test_tables_hold_every_column_of_any_row():
    """Figures that only some rows have vanish."""
    record = RECORD | {
        "generator": [{"px": 64, "ms": 1.23456}, {"px": 128, "ms": 2.0, "official_ms": 3.0}]
    }
    told = compared.markdown(record, RECORD)
    assert "| px | ms | official_ms |" in told and "| 64 | 1.23 |  |" in told
    assert "Steps: before and now" in told and "Generator: before and now" not in told
    assert "Steps: before and now" not in compared.markdown(record)


def test_runs_with_nothing_in_common_say_so():
    """A comparison that was asked for ends without a word."""
    other = {"steps": [STEP | {"method": "rls"}]}
    assert "measured nothing that this one did" in compared.markdown(RECORD, other)
    assert "measured nothing" not in compared.markdown(RECORD, RECORD) + compared.markdown(
        RECORD, {}
    )
