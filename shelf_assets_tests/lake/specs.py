"""Tables of the kinds that the package does not declare yet, with short constructors of their rows. No test here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl

from shelf_assets.lake.delta import LakeTable
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.schemas import UTC_MICROSECONDS, Column, Partitioning, Rule, TableSpec

SETTINGS = TableSpec(
    name="settings",
    grain="One row per name.",
    key=("name",),
    rule=Rule.APPEND_MISSING,
    partitioning=Partitioning.NONE,
    columns={"name": Column(pl.String, "Name."), "value": Column(pl.String, "Value.")},
)

PRODUCTS = TableSpec(
    name="products",
    grain="One row per product and version.",
    key=("product_id", "valid_from"),
    rule=Rule.SLOWLY_CHANGING,
    partitioning=Partitioning.VALIDITY,
    columns={
        "product_id": Column(pl.String, "Identity of the product."),
        "name": Column(pl.String, "Name.", nullable=True),
        "tags": Column(pl.List(pl.String), "Tags.", nullable=True),
        "valid_from": Column(UTC_MICROSECONDS, "First moment of this version."),
        "valid_to": Column(
            UTC_MICROSECONDS, "First moment after this version; null while it is the last.", nullable=True
        ),
    },
)

PRICES = TableSpec(
    name="prices",
    grain="One row per day and product.",
    key=("day", "product_id"),
    rule=Rule.REPLACE_DAY,
    columns={
        "day": Column(pl.Date, "Day."),
        "product_id": Column(pl.String, "Identity of the product."),
        "price_eur": Column(pl.Float64, "Price.", nullable=True),
        "shops": Column(pl.List(pl.String), "Shops.", nullable=True),
    },
)

SPECS = {spec.name: spec for spec in (SETTINGS, PRODUCTS, PRICES)}
EPOCH = datetime(2025, 3, 1, tzinfo=UTC)
DAY = date(2025, 3, 1)


def table_of(lake: Lake, spec: TableSpec) -> LakeTable:
    return LakeTable(spec, f"{lake.url}/tables/{spec.name}", lake.storage_options)


def moment(hours: int) -> datetime:
    return EPOCH + timedelta(hours=hours)


def settings(values: Mapping[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(values.items()), schema=SETTINGS.schema, orient="row")


def fact(product: str, name: str | None, start: int, end: int | None = None) -> dict[str, object]:
    """A fact about a product, valid from hour `start`, and until hour `end` if given."""
    return {
        "product_id": product,
        "name": name,
        "tags": None if name is None else [name],
        "valid_from": moment(start),
        "valid_to": None if end is None else moment(end),
    }


def facts(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=PRODUCTS.schema)


def price(product: str, price_eur: float | None, day: date = DAY) -> dict[str, object]:
    return {"day": day, "product_id": product, "price_eur": price_eur, "shops": [product]}


def prices(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=PRICES.schema)
