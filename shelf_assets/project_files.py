"""Where the dbt project is: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import shelf_assets


def dbt_project_dir() -> Path:
    """The folder of dbt_bi; it may be read-only. Raises FileNotFoundError if it is not installed."""
    package = Path(shelf_assets.__file__).resolve().parent
    for folder in (package / "dbt_bi", package.parent / "dbt_bi"):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise FileNotFoundError(f"dbt_bi is neither in {package} nor beside it: install shelf-assets again")
