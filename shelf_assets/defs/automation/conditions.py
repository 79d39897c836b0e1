"""Conditions under which an asset's partition is materialized automatically."""

import dagster as dg

# `eager()` acts on the latest day only, so a late photo would stop at the first asset: every asset of the chain drops that
# clause. A blocking check that failed upstream holds the day until it passes.
late_safe = (
    dg.AutomationCondition.eager().without(dg.AutomationCondition.in_latest_time_window())
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("late-safe eager")
