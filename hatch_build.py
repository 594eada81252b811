"""The description on the package index: README.md, with links that work there."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Description(MetadataHookInterface):
    """Make relative links absolute, at the tag of the version; without a repository in `project.urls`, drop them."""

    def update(self, metadata):
        """Set the description."""
        repository = metadata.get("urls", {}).get("Source", "").rstrip("/")

        def absolute(link):
            picture, text, path = link.groups()
            if not repository:
                return "" if picture else text
            kind = "raw" if picture else "blob"
            return f"{picture}[{text}]({repository}/{kind}/v{metadata['version']}/{path})"

        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = re.sub(r"(!?)\[([^\]]*)\]\((?!https?:)(?:\./)?([^)\s]+)\)", absolute, readme)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
