"""All settings are in pyproject.toml; this carries the top-level configs/ and recordings/ into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CARRIED = {"configs": "*.yaml", "recordings": "sample.*"}


class BuildWithFolders(build_py):
    """Copy the carried folders to where `bci_music.config.shipped` looks for them in an installation."""

    def run(self) -> None:
        """Build the packages, then add the folders (an editable install reads them in place)."""
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in CARRIED.items():
            target = Path(self.build_lib, "bci_music", folder)
            target.mkdir(parents=True, exist_ok=True)
            for file in sorted(Path(folder).glob(pattern)):
                shutil.copy2(file, target / file.name)


setup(cmdclass={"build_py": BuildWithFolders})
