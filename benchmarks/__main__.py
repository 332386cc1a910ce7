"""Run every benchmark that needs nothing but this repository, one after another: `make bench`.

python -m benchmarks [--quick]
"""

import argparse
import subprocess
import sys
from importlib.util import find_spec

NEEDED = ("lightly_mundig", "nanio")
BENCHMARKS = {
    "diversity": ["--quick"],
    "mixture": ["--quick"],
    "typicality": ["--quick"],
    "peers": ["--quick"],
    "digits": ["--quick"],
    "interval": ["--quick"],
    "coresets": ["--quick"],
    "pipeline": ["--quick"],
    "videos": ["--quick"],
    "memory": ["100000", "32", "100"],
}
"""Each with the arguments that make it a smoke run."""


def main() -> None:
    """Run them in processes of their own, so that none inherits another's threads and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small cases: whether it runs, not how fast")
    quick = parser.parse_args().quick
    for package in NEEDED:
        if find_spec(package) is None:
            raise SystemExit(f"benchmarks need {package}: pip install 'framesift[worker,cpu,dev]'")
    for name, smoke in BENCHMARKS.items():
        sys.stdout.write(f"\n## {name}\n\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", f"benchmarks.{name}", *(smoke if quick else [])]
        if code := subprocess.run(command, check=False).returncode:
            raise SystemExit(f"benchmarks.{name} ended with status {code}")


if __name__ == "__main__":
    main()
