"""What the build adds to the package: every release of the template, in one git bundle.

Run by hatchling: https://hatch.pypa.io/latest/plugins/build-hook/custom/
"""

import importlib.util
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "template.bundle"


class BundleHook(BuildHookInterface[Any]):
    """Puts the bundle into the wheel, and at the root of the sdist, where the wheel made from it finds it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the bundle, or take the one that an sdist carries."""
        if version == "editable":  # it reads the checkout that it runs from
            return
        root = Path(self.root)
        self._folder = TemporaryDirectory()
        bundle = Path(self._folder.name, BUNDLE)
        releases = _releases(root)
        if (root / "PKG-INFO").is_file():  # an sdist, even one that somebody keeps in a repository
            bundle = root / BUNDLE
        else:
            try:
                releases.check_git()
                releases.write_bundle(root, self.metadata.version, bundle)
            except releases.GitError as error:
                sys.exit(f"The template's releases cannot be bundled: {error}.")
        place = BUNDLE if self.target_name == "sdist" else f"mlportfolio/{BUNDLE}"
        build_data["force_include"][str(bundle)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Forget the bundle: it is in the artefact."""
        if version != "editable":
            self._folder.cleanup()


def _releases(root: Path) -> Any:
    """The package's own module, which cannot be imported by name before the package is built."""
    spec = importlib.util.spec_from_file_location("releases", root / "src/mlportfolio/releases.py")
    if not (spec and spec.loader):
        raise ImportError("src/mlportfolio/releases.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules["releases"] = module  # its data classes ask for it
    spec.loader.exec_module(module)
    return module
