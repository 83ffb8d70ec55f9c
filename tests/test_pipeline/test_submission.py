"""What a submission refuses before anything leaves the machine."""

import http.server
import threading

import pytest

from pipeline.submission import submit
from schemas import InputError, SpecError


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "project" / "spec.yaml"
    path.parent.mkdir()
    path.write_text(
        "task: pattern\naxes: {x: {start: 0, stop: 1, num: 3}}\nstore: /shared/scan.zarr\n"
    )
    return path


@pytest.fixture
def web_server():
    """A web server that is no Ray dashboard."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def refused(spec, address="http://127.0.0.1:1", **changes):
    arguments = {"working_dir": spec.parent, **changes}
    with pytest.raises(InputError) as caught:
        submit(spec, address=address, echo=lambda line: pytest.fail(line), **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8265", "auto", "ray://head:10001", "ftp://head", ""]
)
def test_what_is_no_dashboard_is_refused(spec, address):
    assert f"{address}: not the address of a dashboard" in refused(spec, address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://127.0.0.1:1/", "http://[::1"])
def test_no_dashboard_answering_is_one_line(spec, address):
    assert refused(spec, address).startswith(f"{address.rstrip('/')}: no")


def test_another_web_server_is_refused(spec, web_server):
    assert refused(spec, web_server).startswith(
        f"{web_server}: what answers is not a Ray dashboard"
    )


def test_a_spec_outside_the_working_directory_is_refused(spec, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert "outside the working directory" in refused(spec, working_dir=other)


def test_a_store_in_the_jobs_own_copy_is_refused(spec):
    assert refused(spec, overrides=("store=scan.zarr",)).startswith("store: got 'scan.zarr'")
    spec.write_text("task: pattern\naxes: {x: {start: 0, stop: 1, num: 3}}\n")
    assert refused(spec).startswith("store: got 'spec.zarr'")


def test_a_wrong_spec_is_refused_before_it_is_shipped(spec):
    spec.write_text("task: pattern\n")
    with pytest.raises(SpecError, match="axes"):
        submit(spec, address="http://127.0.0.1:1", working_dir=spec.parent, echo=print)
