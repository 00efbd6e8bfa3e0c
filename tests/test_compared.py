"""compared: two runs of the benchmark side by side."""

import compared

STEP = {"method": "pulse", "phase": 1, "batch": 8, "compile_s": 3.0, "step_ms": 20.0, "spread_ms": 1.0}
RECORD = {
    "device": "1 x cpu",
    "jax": "0",
    "precision": "float32",
    "prior": "toy",
    "matrix_gflop_per_s": 100.0,
    "copy_gb_per_s": 10.0,
    "steps": [STEP, STEP | {"batch": 1, "step_ms": 4.0}],
}


def test_a_change_counts_from_both_spreads_on():
    """A program is compared with another one, noise is told as a change, or a program that only one run has breaks the table."""
    now = [STEP | {"step_ms": 10.0, "compile_s": 9.0}, STEP | {"batch": 1, "step_ms": 5.0}, STEP | {"method": "rls"}]
    rows = compared.compared("steps", RECORD["steps"], now)
    assert [(row["batch"], row["times_faster"], row["clear"]) for row in rows] == [(8, 2.0, "yes"), (1, 0.8, "")]
    assert compared.compared("steps", [], now) == []


def test_tables_hold_every_column_of_any_row():
    """Figures that only some rows have vanish."""
    record = RECORD | {"generator": [{"px": 64, "ms": 1.23456}, {"px": 128, "ms": 2.0, "official_ms": 3.0}]}
    told = compared.markdown(record, RECORD)
    assert "| px | ms | official_ms |" in told and "| 64 | 1.23 |  |" in told
    assert "Steps: before and now" in told and "Generator: before and now" not in told
    assert "Steps: before and now" not in compared.markdown(record)
