"""The images of a Pascal VOC data set, found by the names of their XML files."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

from maskrcnn_jax.data.images.reading import Header
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder
from maskrcnn_jax.data.prepare.formats.labeled_image import Findings
from maskrcnn_jax.data.prepare.formats.layout import image_files
from maskrcnn_jax.data.prepare.formats.voc_layout import Layout, image_folders
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.reading import AnyPath


class VocImages:
    """Finds the image of each XML file: the one of the same name, else the one that the XML names.

    VOC has both alike. Where they differ, an image was renamed together with its XML.

    Args:
        layout: Of the data set.
        root: The data set's folder.
        options: The user's choices.
    """

    def __init__(self, layout: Layout, root: Path, options: ReadOptions):
        self.folders = image_folders(layout) if options.images is None else [options.images]
        self.finder = ImageFinder.of(options, self.folders, root)
        self._stems: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str, file_name: str | None, findings: Findings) -> tuple[AnyPath, Header] | None:
        """The image of an XML file and its header; None notes a problem.

        Args:
            name: Of the XML file, without ending and with its subfolders.
            file_name: What the XML calls the image.
            findings: Notes problems.
        """
        place = PurePosixPath(name)
        last = None if file_name is None else PureWindowsPath(file_name).name
        for folder in self.folders:
            for inside in dict.fromkeys([place.parent, PurePosixPath()]):
                same = self._in(folder / inside).get(place.name, [])
                same = [path for path in same if path.name == last] or same
                if len(same) > 1:
                    files = ", ".join(map(str, same))
                    findings.problems.add("XML files that may belong to several images; keep one", f"{name} ({files})")
                    return None
                if same:
                    return findings.find(self.finder, (inside / same[0].name).as_posix())
        return findings.find(self.finder, file_name or name)

    def note_unused(self, names: Collection[str], findings: Findings) -> None:
        """Warns of images that have no XML file."""
        stems = {PurePosixPath(name).name for name in names}
        for folder in self.folders:
            for stem in sorted(self._in(folder).keys() - stems):
                findings.warnings.add("left out images without an XML file", f"{folder.name}/{stem}")

    def _in(self, folder: Path) -> dict[str, list[Path]]:
        """The images in a folder by their names without ending."""
        if folder not in self._stems:
            stems: dict[str, list[Path]] = defaultdict(list)
            for path in image_files(folder) if folder.is_dir() else []:
                stems[path.stem].append(path)
            self._stems[folder] = stems
        return self._stems[folder]
