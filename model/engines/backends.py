"""Libraries that run an exported network, in the order in which they are tried."""

from collections.abc import Callable
from typing import get_args

from model.engines.base import ModelError
from model.engines.driver import require_driver
from model.engines.names import AUTO, BackendName
from model.engines.session import Session, check_numbers
from model.graph_io import Opening


def _tensorrt(opening: Opening) -> Session:
    require_driver()
    from model.engines.tensorrt import open_tensorrt

    return open_tensorrt(opening)


def _torch_cuda(opening: Opening) -> Session:
    require_driver()
    from model.engines.torch_cuda import open_torch_cuda

    return open_torch_cuda(opening)


def _openvino(opening: Opening) -> Session:
    from model.engines.openvino import open_openvino

    return open_openvino(opening)


def _onnxruntime(opening: Opening) -> Session:
    from model.engines.onnxruntime import open_onnxruntime

    return open_onnxruntime(opening)


def _torch(opening: Opening) -> Session:
    from model.engines.torch_cpu import open_torch

    return open_torch(opening)


BACKENDS: dict[str, tuple[str, Callable[[Opening], Session]]] = {
    "tensorrt": ("TensorRT", _tensorrt),
    "torch_cuda": ("PyTorch on the GPU", _torch_cuda),
    "openvino": ("OpenVINO", _openvino),
    "onnxruntime": ("ONNX Runtime", _onnxruntime),
    "torch": ("PyTorch on the CPU", _torch),
}


def open_session(
    backend: BackendName, opening: Opening, excluded: frozenset[str] = frozenset()
) -> tuple[Session, str, list[str]]:
    """Open a graph and try it; "auto" takes the first library that works.

    Parameters
    ----------
    backend
        Which; or "auto".
    opening
        What is opened.
    excluded
        Libraries that "auto" passes over, because they failed before.

    Returns
    -------
    The session, the name of its backend, and in words why those before it were passed over.

    Raises
    ------
    ModelError
        If none works.
    """
    if backend not in get_args(BackendName):
        raise ModelError(
            f"backend {backend!r} is not known; choose one of {', '.join(get_args(BackendName))}"
        )
    problems: list[str] = []
    for name in AUTO if backend == "auto" else (backend,):
        if name in excluded:
            continue
        title, make = BACKENDS[name]
        try:
            session = make(opening)
            _try(session, opening)
            return session, name, problems
        except ImportError:
            problems.append(f"{title} is not installed")
        except ModelError as error:
            problems.append(f"{title}: {error}")
        except Exception as error:  # each library has its own, and they share no base
            problems.append(f"{title} fails: {first_line(error)}")
    raise ModelError(f"nothing here can run this network: {'; '.join(problems)}")


def _try(session: Session, opening: Opening) -> None:
    """Run as many steps as the first answer takes, on an image without light; then forget them."""
    counts = opening.dark()
    for _ in range(opening.card.window):
        session.submit(counts, False, opening.card.threshold)
        check_numbers(session.collect())
    session.restart(keep_baseline=True)


def first_line(error: Exception) -> str:
    """What an error of some library says, in a line."""
    # OpenVINO first tells where in the library it arose, in lines that end with a colon.
    lines = [line for line in str(error).splitlines() if line.strip() and not line.endswith(":")]
    return lines[0] if lines else repr(error)
