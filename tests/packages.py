"""Packages with entry points, as pip leaves them in site-packages."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, package: str, *, entry_points: str, module: str) -> None:
    """Write a package with one module of its name, and its entry points, into a folder."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (site / f"{package}.py").write_text(module)
