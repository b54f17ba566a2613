"""Installs the SDKs from their registries, once, into `.cache` of the checkout."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache"
NODE_MINIMUM = (20, 14)  # the first with --test-force-exit
INSTALL_SECONDS = 200.0


class InstallError(Exception):
    """An SDK cannot be installed here: why, in one line, and all that the installing command printed."""

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


def install_node_sdk() -> Path:
    """Return the `node_modules` folder that holds the Node SDK."""
    return _node_modules("node-sdk", HERE / "node")


def install_browser_sdk() -> Path:
    """Return the `node_modules` folder that holds the browser SDK and what drives a browser."""
    return _node_modules("browser-sdk", HERE / "browser")


def find_chromium() -> Path:
    """Return the Chromium of the system: Debian's package, which no registry of ours has."""
    found = shutil.which("chromium")
    if found is None:
        raise InstallError("`chromium` is not installed")
    return Path(found)


def install_python_sdk() -> Path:
    """Return the interpreter of the virtual environment that holds the Python SDK."""
    requirements = HERE / "python" / "requirements.txt"

    def venv(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", "--clear", str(folder), cwd=HERE)
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--retries=1")
        _run(*pip, "--requirement", str(requirements), cwd=HERE)

    # An environment serves only the interpreter that made it.
    key = requirements.read_bytes() + f"{sys.base_prefix} {sys.version}".encode()
    return _once("python-sdk", key, venv) / "bin" / "python"


def _node_modules(name: str, sources: Path) -> Path:
    _check_node()
    package, lock = sources / "package.json", sources / "package-lock.json"

    def npm_ci(folder: Path) -> None:
        for source in (package, lock):
            shutil.copy(source, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", cwd=folder)

    return _once(name, lock.read_bytes(), npm_ci) / "node_modules"


def _check_node() -> None:
    version = _run("node", "--version", cwd=HERE)
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < NODE_MINIMUM:
        minimum = ".".join(map(str, NODE_MINIMUM))
        raise InstallError(f"Node {minimum} or newer is needed, not {version.strip()}")


def _once(name: str, key: bytes, install: Callable[[Path], None]) -> Path:
    """Return the folder that `install` filled for this key, in this run or an earlier one."""
    CACHE.mkdir(exist_ok=True)
    folder = CACHE / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"
    complete = folder / ".complete"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers share the folder
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            complete.touch()
    return folder


def _run(*command: str, cwd: Path) -> str:
    """Return the command's output. Raises InstallError if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except FileNotFoundError as error:
        raise InstallError(f"`{command[0]}` is not installed") from error
    except subprocess.CalledProcessError as error:
        output = error.stdout + error.stderr
        told = next((line for line in output.splitlines() if "error" in line.lower()), "")
        raise InstallError(f"`{' '.join(command)}` failed: {told}", output) from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"`{' '.join(command)}` took more than {INSTALL_SECONDS:.0f} s") from error
    return done.stdout
