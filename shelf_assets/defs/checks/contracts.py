"""A blocking contract check per table, made from its declared schema. Questions about content are in `quality`."""

from shelf_assets.defs.checks.common import Check, DayUnderCheck, Result
from shelf_assets.lake.contracts import check_contract
from shelf_assets.registry import tables

DESCRIPTION = "The day's rows have the declared types and nullability, and no key twice."


def contract_of(table: str) -> Check:
    def contract(day: DayUnderCheck) -> Result:
        rows, violation = check_contract(day.rows(table), tables()[table])
        return violation is None, violation or "", {"rows": rows}

    return contract
