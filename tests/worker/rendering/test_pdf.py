import re
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest

from worker.facts import Facts
from worker.rendering.pages import render_html
from worker.rendering.pdf import PdfFailed, render_pdf

PAGE = "<!doctype html><html lang=en><title>t</title><p>text</p></html>"


def test_render_pdf__same_page_same_bytes_and_tagged(make_facts: Callable[..., Facts]) -> None:
    html = render_html(make_facts(), {})
    html = html[: html.index('<section id="scatter"')] + "</main></body></html>"
    body = render_pdf(html)
    assert body.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in _unpacked(body)
    assert body == render_pdf(html)


def test_render_pdf__reads_nothing_from_disk_or_net(tmp_path: object) -> None:
    secret = f"{tmp_path}/secret.css"
    with open(secret, "w") as file:  # noqa: PTH123
        file.write("p { content: 'x' }")
    page = PAGE.replace(
        "<p>", f'<link rel=attachment href="file://{secret}"><img src="file:///etc/hostname"><p>'
    )
    assert b"/EmbeddedFile" not in _unpacked(render_pdf(page))


def test_render_pdf__too_slow_is_one_line() -> None:
    with pytest.raises(PdfFailed, match=r"^rendering took longer than 0\.01 s$"):
        render_pdf(PAGE, time_limit_s=0.01)


def test_render_pdf__too_little_memory_is_one_line() -> None:
    with pytest.raises(PdfFailed) as failure:
        render_pdf(PAGE, memory_limit_bytes=48 * 2**20)
    assert str(failure.value)
    assert "\n" not in str(failure.value)


def test_pdf_child__says_what_to_install_without_pango() -> None:
    code = (
        "import sys; from worker.rendering import pdf_child\n"
        "def no_pango(html): raise OSError('cannot load library libpango-1.0-0: no such file')\n"
        "pdf_child._pdf = no_pango; sys.argv = ['', str(2**33)]; sys.exit(pdf_child.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0" in done.stderr


def _unpacked(pdf: bytes) -> bytes:
    packed = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return b"".join(zlib.decompressobj().decompress(one) for one in packed)
