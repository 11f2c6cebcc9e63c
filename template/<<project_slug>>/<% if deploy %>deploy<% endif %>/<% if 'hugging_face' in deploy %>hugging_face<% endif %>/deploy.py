# /// script
# requires-python = ">=3.11"
# dependencies = ["huggingface-hub>=0.34"]
# ///
"""Upload what the image is built from to a Hugging Face Space: uv run deploy/hugging_face/deploy.py USER/NAME."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

PROJECT = Path(__file__).parents[2]
# What .dockerignore lets through, and how it is built.
PARTS = ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "src", "artifacts/champion")


def collect(folder: Path) -> None:
    """Copy into `folder` what the image is built from, with the Space's own card as its README.md."""
    if not (PROJECT / "artifacts" / "champion").is_dir():
        sys.exit("There is no champion to serve in artifacts/champion. Train one first: make run")
    for part in PARTS:
        source, copy = PROJECT / part, folder / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    shutil.copy(Path(__file__).with_name("card.md"), folder / "README.md")


def deploy(space: str) -> str:
    """Make the Space if it is not there, replace all its files in one commit, and return its address."""
    api = HfApi()
    made = api.create_repo(space, repo_type="space", space_sdk="docker", exist_ok=True)
    with TemporaryDirectory() as folder:
        collect(Path(folder))
        api.upload_folder(repo_id=made.repo_id, repo_type="space", folder_path=folder, delete_patterns="*")
    return made.url


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(deploy(sys.argv[1]))
