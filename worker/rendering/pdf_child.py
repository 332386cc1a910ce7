"""The process that lays out one page: HTML on standard input, PDF on standard output, a reason on standard error."""

import hashlib
import resource
import sys

PANGO = "Pango is missing: install libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0"


def main() -> int:
    """Read, render, write; any trouble becomes one line and a non-zero code."""
    limit_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sys.stdout.buffer.write(_pdf(sys.stdin.buffer.read()))
    except MemoryError:
        return _failed(f"rendering needed more than {limit_bytes // 2**20} MiB")
    except OSError as error:
        text = str(error)
        return _failed(PANGO if "cannot load library" in text else f"{type(error).__name__}: {text}")
    except Exception as error:  # noqa: BLE001  # whatever the layout engine raises, the job goes on
        return _failed(f"{type(error).__name__}: {error}")
    return 0


def _pdf(html: bytes) -> bytes:
    import weasyprint  # noqa: PLC0415  # loads Pango, whose absence is to be explained
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    fetcher = URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    page = weasyprint.HTML(string=html.decode("utf-8"), url_fetcher=fetcher, base_url=None)
    document = page.write_pdf(
        font_config=FontConfiguration(),
        pdf_identifier=hashlib.sha256(html).digest()[:16],
        pdf_tags=True,
        optimize_images=False,
    )
    return bytes(document)


def _failed(reason: str) -> int:
    sys.stderr.write(" ".join(reason.split())[:500] + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
