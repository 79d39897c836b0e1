"""Checks that every relative link in README, CHANGELOG and docs leads to a file. Links to other sites are not followed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def broken_links(root: Path = ROOT) -> list[str]:
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("dbt_bi/*.md")]
    return [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith(("#", "mailto:"))
        if not (page.parent / target.split("#")[0]).exists()
    ]


if __name__ == "__main__":
    broken = broken_links()
    print("\n".join(broken) if broken else "every link of the docs leads somewhere")
    sys.exit(bool(broken))
