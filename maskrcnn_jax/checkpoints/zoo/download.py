"""Downloads of published weights into the user's cache folder."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from maskrcnn_jax.checkpoints.zoo.published import PUBLISHED, PublishedWeights
from maskrcnn_jax.files.lock import turn
from maskrcnn_jax.files.writing import written_whole

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Of a download whose connection breaks."""
SECONDS = 30
"""How long a server may be silent."""
CHUNK = 2**18
"""Bytes that are read at once."""


class DownloadError(OSError):
    """Weights that cannot be downloaded; the message names the address, the folder and the remedy."""


def weights_folder() -> Path:
    """Where downloads are kept: `$MASKRCNN_JAX_HOME/weights`, or `maskrcnn_jax/weights` in the user's cache folder."""
    home = os.environ.get("MASKRCNN_JAX_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(home) if home else cache / "maskrcnn_jax") / "weights"


def local_file(weights: PublishedWeights) -> Path:
    """The file of published weights in the cache folder, whether it is there or not."""
    return weights_folder() / weights.name / weights.file_name


def locate(source: Path) -> Path:
    """The file of a source: of a published name the downloaded one, of anything else the path itself.

    Raises:
        DownloadError: the weights cannot be downloaded, or are not those published.
    """
    weights = PUBLISHED.get(source.as_posix())
    return source if weights is None or source.exists() else fetch(weights)


def fetch(weights: PublishedWeights) -> Path:
    """The file of published weights, downloaded where it is missing.

    Its hash is checked before the file is moved into place. Processes that need the same file wait for the first.

    Raises:
        DownloadError: there is no network or no such file, or its hash is not the published one.
    """
    path = local_file(weights)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with turn(path.parent):
        if not path.exists():
            log.info("downloading %s from %s to %s", weights.name, weights.url, path)
            with written_whole(path) as partial, _named(weights, path):
                _download(weights.url, partial)
                _verify(weights, partial)
    return path


def _download(url: str, path: Path) -> None:
    # Imported here, as requests takes about 90 ms.
    import pooch
    import requests

    load = pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK, timeout=SECONDS)
    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return load(url, str(path), None)
        except broken as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("%s: the connection broke (%s); attempt %d of %d", url, error, attempt + 1, ATTEMPTS)


def _verify(weights: PublishedWeights, path: Path) -> None:
    if not weights.digest:
        log.warning("%s: no hash is published, so the download is not verified", weights.url)
        return
    algorithm, _, digits = weights.digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(digits):
        raise DownloadError(
            f"{weights.url}: {algorithm.upper()} is {found}, but {digits}… is published; the file was not kept. "
            "Download it again, or through another network"
        )


@contextlib.contextmanager
def _named(weights: PublishedWeights, path: Path) -> Iterator[None]:
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(
            f"{weights.name} cannot be downloaded from {weights.url} ({error}); check the network and the proxy, or "
            f"put the file into {path.parent}"
        ) from error
