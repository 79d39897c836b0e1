"""The one build step that pyproject.toml cannot declare: a wheel holds dbt_bi/ as shelf_assets/dbt_bi/."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = Path("dbt_bi")
TARGET = Path("shelf_assets") / PROJECT


def dbt_files() -> list[Path]:
    """dbt's sources; target/ and logs/ are left behind by a dbt that was run by hand."""
    files = (path for pattern in ("*.sql", "*.yml", "*.csv") for path in PROJECT.rglob(pattern))
    return sorted(path for path in files if not {"target", "logs"} & set(path.parts))


class BuildWithDbtProject(build_py):
    """An editable install copies nothing: there the project is found at the top of the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for path in dbt_files():
                copied = self._copy_of(path)
                copied.parent.mkdir(parents=True, exist_ok=True)
                copyfile(path, copied)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *(str(self._copy_of(path)) for path in dbt_files())]

    def get_source_files(self) -> list[str]:
        """For the source distribution, from which a wheel is built as well."""
        return [*super().get_source_files(), *map(str, dbt_files())]

    def _copy_of(self, path: Path) -> Path:
        return Path(self.build_lib) / TARGET / path.relative_to(PROJECT)


setup(cmdclass={"build_py": BuildWithDbtProject})
