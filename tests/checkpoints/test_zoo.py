"""Downloads of published weights from a local server, which stands in for their addresses."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from small import CONFIG, build

from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.checkpoints.pretrained import load_pretrained, trained_config
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.checkpoints.zoo import download
from maskrcnn_jax.checkpoints.zoo.download import DownloadError, fetch, local_file, locate
from maskrcnn_jax.checkpoints.zoo.published import PUBLISHED, PublishedWeights, best_of_coco
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.draw.images import save_png

CONTENT = bytes(range(256)) * 4000
NAME = "torchvision/maskrcnn_resnet50_fpn_v2"


class Server(ThreadingHTTPServer):
    """Serves `content` as every path but /missing; counts the requests and cuts the first `cuts` of them short."""

    daemon_threads = True

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cuts, self.delay = content, 0, 0.0
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path.endswith("/missing"):
            return self.send_error(404)
        time.sleep(self.server.delay)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        cut = len(self.server.requests) <= self.server.cuts
        self.wfile.write(self.server.content[: 1000 if cut else None])
        if cut:
            self.connection.close()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(CONTENT) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKRCNN_JAX_HOME", str(tmp_path / "home"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def weights(server: Server, path: str = "m.pth", digest: str | None = None) -> PublishedWeights:
    digest = digest or f"sha256:{hashlib.sha256(server.content).hexdigest()[:8]}"
    return PublishedWeights("some/m", f"{server.url}/{path}", digest, 1.0, "COCO", "MIT")


def files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_a_download_is_verified_and_kept(server: Server, home: Path):
    one = weights(server)
    assert fetch(one) == local_file(one) == home / "weights" / "some" / "m" / "m.pth"
    assert local_file(one).read_bytes() == CONTENT and files(home) == ["weights/some/m/m.pth"]
    fetch(one)
    assert server.requests == ["/m.pth"]
    fetch(weights(server, "other.pkl", f"md5:{hashlib.md5(CONTENT).hexdigest()[:6]}"))
    assert len(files(home)) == 2


def test_a_cut_connection_is_repeated(server: Server, home: Path, caplog: pytest.LogCaptureFixture):
    server.cuts = 2
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert len(server.requests) == 3
    assert [record.args[2:] for record in caplog.records if record.levelname == "WARNING"] == [(2, 3), (3, 3)]


def test_a_connection_that_always_breaks(server: Server, home: Path):
    server.cuts = 9
    with pytest.raises(
        DownloadError, match=r"some/m cannot be downloaded from \S+/m\.pth .*put the file into \S+some/m$"
    ):
        fetch(weights(server))
    assert len(server.requests) == 3 and files(home) == []


def test_a_wrong_hash(server: Server, home: Path):
    with pytest.raises(DownloadError, match=r"m\.pth: SHA256 is [0-9a-f]{64}, but 12345678… is published; the"):
        fetch(weights(server, digest="sha256:12345678"))
    assert files(home) == []


def test_an_address_that_is_gone(server: Server, home: Path):
    with pytest.raises(DownloadError, match=r"cannot be downloaded .*404.*check the network"):
        fetch(weights(server, "missing"))
    assert len(server.requests) == 1 and files(home) == []


def test_no_network(home: Path):
    one = PublishedWeights("some/m", "http://127.0.0.1:9/m.pth", "sha256:0", 1.0, "COCO", "MIT")
    with pytest.raises(DownloadError) as found:
        fetch(one)
    assert "http://127.0.0.1:9/m.pth" in str(found.value) and str(home / "weights/some/m") in str(found.value)
    assert "\n" not in str(found.value)


def test_a_slow_server(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "SECONDS", 0.2)
    server.delay = 1.0
    with pytest.raises(DownloadError, match="timed out"):
        fetch(weights(server))


def test_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch):
    """The address is not reachable; the server stands for the proxy, which is asked for the whole address."""
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", server.url)
    one = weights(server)._replace(url="http://weights.invalid/m.pth")
    assert fetch(one).read_bytes() == CONTENT
    assert server.requests == ["http://weights.invalid/m.pth"]


def test_several_at_once(server: Server):
    server.delay = 0.3
    threads = [threading.Thread(target=fetch, args=(weights(server),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1 and local_file(weights(server)).read_bytes() == CONTENT


@pytest.fixture
def published(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """The best model of the zoo, in truth a small one of this package."""
    server.content = save_pretrained(build(), tmp_path / "small.safetensors")[0].read_bytes()
    one = weights(server, "small.safetensors")._replace(name=NAME, mask_ap=99.0)
    monkeypatch.setitem(PUBLISHED, NAME, one)
    return one


def test_weights_by_name(published: PublishedWeights):
    assert load_pretrained(NAME).config == trained_config(NAME) == CONFIG.model
    assert locate(Path(NAME)) == local_file(published)
    with pytest.raises(WeightFileError, match=rf"does not exist; .*, or the published name {NAME}"):
        load_pretrained("torchvision/maskrcnn_resnet50_fpn_v3")


def test_a_path_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("torchvision").mkdir()
    Path(NAME).write_bytes(b"mine")
    assert locate(Path(NAME)) == Path(NAME)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["maskrcnn-jax", *map(str, arguments)])
    main()


def test_predict_without_checkpoint_takes_the_best(
    published: PublishedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    save_png(tmp_path / "photo.png", np.zeros((64, 64, 3), np.uint8))
    run(monkeypatch, "predict", tmp_path / "photo.png", "--out", tmp_path / "found")
    assert f"no --checkpoint: {NAME}, trained on COCO, mask AP 99.0" in capsys.readouterr().out
    assert (tmp_path / "found" / "photo.detections.png").is_file()


def test_the_list(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setitem(PUBLISHED, "some/m", weights(server))
    fetch(PUBLISHED["some/m"])
    run(monkeypatch, "zoo")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PUBLISHED) + 2 and str(home / "weights") in lines[-1]
    on_disk = [line.split()[0] for line in lines if " yes " in line]
    assert on_disk == ["some/m"]


def test_without_a_published_hash_a_warning_says_so(server: Server, caplog: pytest.LogCaptureFixture):
    fetch(weights(server)._replace(digest=""))
    assert "no hash is published" in caplog.text


def test_the_table():
    assert best_of_coco().name == "detectron2/mask_rcnn_R_101_FPN_400ep_LSJ"
    for name, one in PUBLISHED.items():
        assert name == one.name and one.url.startswith("https://") and one.source.startswith("https://")
        algorithm, _, digits = one.digest.partition(":")
        assert algorithm in ("sha256", "md5", "") and digits in one.file_name
        assert (len(digits) == {"sha256": 8, "md5": 6, "": 0}[algorithm]) and bool(
            digits or "-" in name or "coco" in name
        )
